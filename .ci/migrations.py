"""Refuses migrations that would break the version before, by squawk's rules on the SQL that each revision emits.

python .ci/migrations.py              the revisions of every service
python .ci/migrations.py DIRECTORY    those of one directory

While a rollout lasts, services of the version before work on the new schema. So a revision adds; it renames nothing,
changes no type, asks for nothing that the version before does not write, and takes no right away. What it takes away
has to be unused by then: it names the oldest revision whose service does without, `oldest_service = "0003"`, an
earlier one than itself, and services older than that become unready by themselves (poolkit.schema).
"""

import io
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from poolkit.schema import Revision, read_revisions

ROOT = Path(__file__).resolve().parents[1]
SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"
# Waiting for locks is bounded for all of them (poolkit.migrations); a revision is a transaction, so it need not be
# repeatable statement by statement; integers and lengths are the author's business.
NOT_OURS = (
    "require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts", "prefer-bigint-over-int",
    "prefer-bigint-over-smallint", "prefer-identity", "prefer-text-field", "prefer-timestamp-tz",
)  # fmt: skip
# Taking away what no service uses any more.
CONTRACTING = tuple(
    f"ban-drop-{what}"
    for what in (
        "column",
        "constraint",
        "default",
        "domain",
        "function",
        "not-null",
        "sequence",
        "table",
        "type",
        "view",
    )
)
REVOKE = re.compile(r"^\s*REVOKE\b", re.IGNORECASE | re.MULTILINE)


def emitted(directory: Path) -> Iterator[tuple[Script, str]]:
    """Each revision with its SQL, the first one first; no database is asked."""
    scripts = ScriptDirectory(str(directory.parent), version_locations=[str(directory)])
    config = Config(attributes={"runtime_role": "service_runtime"})
    for script in reversed(list(scripts.walk_revisions())):
        sql = io.StringIO()
        context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": sql})
        with EnvironmentContext(config, scripts, as_sql=True), Operations.context(context):
            script.module.upgrade()
        yield script, sql.getvalue()


def refusals(sql: str, allowed: tuple[str, ...]) -> Iterator[str]:
    """What squawk and we find in the SQL of one revision."""
    command = [str(SQUAWK), "--reporter", "json", "--stdin-filepath", "revision.sql", "--assume-in-transaction"]
    rules = [f"--exclude={','.join((*NOT_OURS, *allowed))}"]
    done = subprocess.run([*command, *rules], input=sql, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        yield f"squawk itself failed: {done.stderr.strip()}"
        return
    for found in json.loads(done.stdout or "[]"):
        yield f"{found['rule_name']}: {found['message']}"
    if REVOKE.search(sql):
        yield "revoking-right: the version before may be using it; revoke it once `oldest_service` says who does not."


def check(directory: Path) -> Iterator[str]:
    """Every refusal in one directory of revisions, by file."""
    revisions = {revision.name: revision for revision in read_revisions(directory)}
    for script, sql in emitted(directory):
        path = Path(script.path)
        where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
        yield from (f"{where}: {refusal}" for refusal in judge(script, sql, revisions))


def judge(script: Script, sql: str, revisions: dict[str, Revision]) -> Iterator[str]:
    """Every refusal of one revision."""
    if script.revision not in revisions or not Path(script.path).name.startswith(script.revision):
        yield "name: a file begins with its revision, since that is the order in which services know them."
        return
    told = getattr(script.module, "oldest_service", None)
    earlier = list(revisions)[: list(revisions).index(script.revision)]
    if told is not None and told not in earlier:
        yield f"oldest_service: {told!r} is no earlier revision, so every running service would stop at once."
    contracting = CONTRACTING if told is not None else ()
    for refusal in refusals(sql, contracting):
        if not (contracting and refusal.startswith("revoking-right")):
            yield refusal


def main(arguments: list[str]) -> int:
    """Prints the refusals and answers the exit code."""
    directories = [Path(argument) for argument in arguments] or sorted(ROOT.glob("services/*/migrations/versions"))
    found = [refusal for directory in directories for refusal in check(directory)]
    if found:
        print(*found, sep="\n")
        return 1
    print(f"{len(directories)} schemas")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
