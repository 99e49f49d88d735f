"""`make skew BASE=<revision>`: services of that revision and of HEAD, in all 32 combinations, under load."""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.rolling import proxy
from tests.e2e.rolling.fleet import Fleet
from tests.skew.revision import FOLDER, CannotBuild, Revision
from tests.skew.walk import NAMES, Combination, pythons, start_at_base, walk

RESULT = FOLDER.parent / "skew.json"


def say(words: str) -> None:
    """One line, at once."""
    print(words, flush=True)


async def run(base: Revision, present: Revision) -> list[Combination]:
    """Every combination, told while it goes."""
    directory = Path(tempfile.mkdtemp(prefix="pools-skew-"))
    fleet = Fleet(directory, pythons(base, present))
    found: list[Combination] = []
    try:
        await start_at_base(fleet)
        say(f"{'':>5}  {'orders':>6}  {'calls':>6}  failures   ({', '.join(NAMES)}; N: present, -: base)")
        async with contextlib.aclosing(walk(fleet)) as combinations:
            async for combination in combinations:
                found.append(combination)
                told = f"{combination.words}  {combination.orders:>6}  {combination.calls:>6}  "
                say(f"{told}{len(combination.failures):>8}   {combination.changed}")
                for failure in combination.failures[:5]:
                    say(f"       {failure}")
    finally:
        await fleet.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return found


def main() -> None:
    """Exits 1 when a call failed in any combination or the books do not agree at the end, 2 on wrong usage."""
    if len(sys.argv) != 2 or not sys.argv[1]:
        print("Name the revision to run beside the present one: make skew BASE=<commit or tag>", file=sys.stderr)
        sys.exit(2)
    if proxy.find_haproxy() is None:
        print(proxy.MISSING, file=sys.stderr)
        sys.exit(2)
    began = time.monotonic()
    try:
        base, present = Revision.of(sys.argv[1]), Revision.of("HEAD")
        for revision in (base, present):
            say(f"skew: building {revision.commit[:12]} in {revision.folder}")
            revision.build()
        for path in base.migrations_edited_since():
            say(f"skew: {path} was edited since, so a database of then cannot be brought to the schema of now")
        found = asyncio.run(run(base, present))
    except CannotBuild as failure:
        print(failure, file=sys.stderr)
        sys.exit(2)
    failures = sum(len(combination.failures) for combination in found)
    document = {
        "base": base.commit,
        "present": present.commit,
        "combinations": [
            {
                "present": sorted(combination.present),
                "changed": combination.changed,
                "orders": combination.orders,
                "calls": combination.calls,
                "failures": combination.failures,
            }
            for combination in found
        ],
    }
    RESULT.write_text(json.dumps(document, indent=1))
    calls = sum(combination.calls for combination in found)
    say(f"skew: {len(found)} combinations, {calls} calls, {failures} failures, books agree; {RESULT}")
    say(f"skew: took {time.monotonic() - began:.0f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
