"""Runs every check that reads the tree without running it, side by side, and prints one line for each.

python .ci/lint.py              all of them
python .ci/lint.py mypy ruff    those
"""

import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sysconfig.get_path("scripts"))
SIDE_BY_SIDE_MAX = 2

# The slowest first, so that the others fill the time beside it.
CHECKS: dict[str, list[str]] = {
    "mypy": [f"{BIN}/mypy", "--no-error-summary"],
    "migrations": [sys.executable, ".ci/migrations.py"],
    "imports": [f"{BIN}/lint-imports", "--cache-dir", "build/import-linter"],
    "ruff": [f"{BIN}/ruff", "check", "--quiet", "."],
    "format": [f"{BIN}/ruff", "format", "--check", "--quiet", "."],
    "buf lint": [sys.executable, "libs/contracts/check.py", "lint"],
    "buf breaking": [sys.executable, "libs/contracts/check.py", "breaking"],
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check went."""

    name: str
    passed: bool
    seconds: float
    output: str


def check(name: str) -> Outcome:
    """Runs one check to its end."""
    started = time.monotonic()
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    done = subprocess.run(CHECKS[name], cwd=ROOT, stdout=pipe, stderr=both, text=True, check=False)
    return Outcome(name, done.returncode == 0, time.monotonic() - started, done.stdout.strip())


def main(names: list[str]) -> int:
    """Prints each outcome as it comes, what a failed check said, and answers the exit code."""
    unknown = sorted(set(names) - set(CHECKS))
    if unknown:
        print(f"lint: there is no check named {', '.join(unknown)}; there are {', '.join(CHECKS)}.")
        return 2
    failed = 0
    with ThreadPoolExecutor(SIDE_BY_SIDE_MAX) as pool:
        for future in as_completed([pool.submit(check, name) for name in names or CHECKS]):
            outcome = future.result()
            failed += not outcome.passed
            note = f"  ({outcome.output})" if outcome.passed and "\n" not in outcome.output and outcome.output else ""
            word = "passed" if outcome.passed else "FAILED"
            print(f"lint: {outcome.name:<13} {word} in {outcome.seconds:4.1f} s{note}", flush=True)
            if not outcome.passed:
                print(outcome.output, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
