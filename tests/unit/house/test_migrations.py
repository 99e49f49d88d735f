"""The migrations: what would break the version before is refused by the linter, and what only adds is let through."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.house.tree import ROOT

REVISION = '''"""A revision."""
from alembic import op

revision = {name!r}
down_revision = {before!r}
{told}

def upgrade() -> None:
    op.execute("{sql}")
'''
FIRST = "CREATE TABLE things (id bigint PRIMARY KEY, name text); CREATE INDEX things_name ON things (name)"


@pytest.fixture(scope="module")
def linter() -> ModuleType:
    """`.ci/migrations.py`, which is a program and no package's module."""
    spec = importlib.util.spec_from_file_location("migrations_linter", ROOT / ".ci" / "migrations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(directory: Path, *steps: str, told: str = "") -> Path:
    """A directory of revisions, the last of which tells `told`."""
    for number, sql in enumerate(steps, start=1):
        said = f"oldest_service = {told!r}\n" if told and number == len(steps) else ""
        before = f"{number - 1:04}" if number > 1 else None
        text = REVISION.format(name=f"{number:04}", before=before, told=said, sql=sql)
        (directory / f"{number:04}_step.py").write_text(text)
    return directory


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("ALTER TABLE things DROP COLUMN name", "ban-drop-column"),
        ("DROP TABLE things", "ban-drop-table"),
        ("ALTER TABLE things RENAME COLUMN name TO title", "renaming-column"),
        ("ALTER TABLE things RENAME TO objects", "renaming-table"),
        ("ALTER TABLE things ADD COLUMN size int NOT NULL", "adding-required-field"),
        ("ALTER TABLE things ALTER COLUMN name TYPE int", "changing-column-type"),
        ("ALTER TABLE things ALTER COLUMN name SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE things ADD CHECK (name <> '')", "constraint-missing-not-valid"),
        ("ALTER TABLE things ALTER COLUMN name DROP DEFAULT", "ban-drop-default"),
        ("CREATE INDEX things_later ON things (name)", "require-concurrent-index-creation"),
        ("REVOKE SELECT ON things FROM service_runtime", "revoking-right"),
    ],
)
def test_what_breaks_the_version_before_is_refused(linter: ModuleType, tmp_path: Path, sql: str, rule: str) -> None:
    [refusal] = linter.check(write(tmp_path, FIRST, sql))
    assert refusal.startswith(f"0002_step.py: {rule}: ")


def test_what_only_adds_is_let_through(linter: ModuleType, tmp_path: Path) -> None:
    adds = "ALTER TABLE things ADD COLUMN size int; ALTER TABLE things ADD COLUMN kind text NOT NULL DEFAULT 'a'"
    assert list(linter.check(write(tmp_path, FIRST, adds, "CREATE TABLE more (id bigint PRIMARY KEY)"))) == []


def test_what_no_service_uses_any_more_may_go_once_the_revision_says_since_when(
    linter: ModuleType, tmp_path: Path
) -> None:
    goes = "ALTER TABLE things DROP COLUMN name; DROP TABLE more; REVOKE SELECT ON things FROM service_runtime"
    steps = (FIRST, "CREATE TABLE more (id bigint PRIMARY KEY)", "SELECT 1", goes)
    assert list(linter.check(write(tmp_path, *steps, told="0003"))) == []
    assert linter.read_revisions(tmp_path)[-1].oldest_service == "0003"
    renames = "ALTER TABLE things RENAME COLUMN name TO title"
    [refusal] = linter.check(write(tmp_path, *steps[:3], renames, told="0003"))
    assert "renaming-column" in refusal


def test_no_revision_stops_every_running_service_at_once(linter: ModuleType, tmp_path: Path) -> None:
    [refusal] = linter.check(write(tmp_path, FIRST, "DROP TABLE things", told="0002"))
    assert "'0002' is no earlier revision" in refusal


def test_a_file_is_named_by_its_revision_so_that_services_know_the_order(linter: ModuleType, tmp_path: Path) -> None:
    (write(tmp_path, FIRST) / "0001_step.py").rename(tmp_path / "0009_step.py")
    [refusal] = linter.check(tmp_path)
    assert refusal.startswith("0009_step.py: name: ")
