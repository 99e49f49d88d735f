"""Owns which schemas a service works with: its own newest revision, or a newer one that still allows it.

A revision only adds, so services of earlier revisions go on working on it. One that takes something away names the
oldest revision whose service does without: `oldest_service = "0003"`. Migrating writes that beside the version, and a
service that finds itself older than it stays unready, as does one whose own revision the database has not reached.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import structlog

from poolkit.database import Database
from poolkit.errors import Unavailable

_REVISION: Final = re.compile(r"^revision\b[^=]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_OLDEST_SERVICE: Final = re.compile(r"^oldest_service\b[^=]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_CURRENT: Final = "SELECT version_num, oldest_service FROM alembic_version"
# Nothing was migrated yet, or not by us, or not for this role.
_UNREADABLE: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
)

_log = structlog.get_logger("poolkit.schema")


class Revision(NamedTuple):
    """One file of a service's migrations."""

    name: str
    oldest_service: str
    """The oldest revision whose service works on the schema that this one leaves."""


def revisions_directory(main_file: str) -> Path:
    """Where the migrations of the service lie whose `main.py` this is: in its wheel, or beside its sources."""
    package = Path(main_file).parent
    installed = package / "migrations" / "versions"
    return installed if installed.is_dir() else package.parents[1] / "migrations" / "versions"


def read_revisions(directory: Path) -> list[Revision]:
    """All revisions in their order, which is that of their files' names, without loading the migration tool."""
    revisions: list[Revision] = []
    for file in sorted(directory.glob("[0-9]*.py")):
        text = file.read_text(encoding="utf-8")
        if (named := _REVISION.search(text)) is None:
            continue
        oldest = _OLDEST_SERVICE.search(text)
        inherited = revisions[-1].oldest_service if revisions else named[1]
        revisions.append(Revision(named[1], oldest[1] if oldest else inherited))
    return revisions


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What a database says of its schema; no version where nothing was migrated."""

    version: str | None
    oldest_service: str | None

    def misfit(self, known: Sequence[str]) -> str:
        """Why a service that knows these revisions does not work on it, in a sentence; empty where it does."""
        own = known[-1]
        if self.version is None:
            return f"The database has no schema that this role may read; this service needs {own}: run `migrate`."
        if self.version in known:
            if self.version == own:
                return ""
            return f"The schema is at {self.version}, older than this service, which needs {own}: run `migrate`."
        if self.oldest_service in known:
            return ""
        return (
            f"The schema is at {self.version}, newer than this service: it asks for one of revision "
            f"{self.oldest_service} or newer, and this one is of {own}. Deploy a newer one."
        )


class SchemaCheck:
    """Asks the database about its schema, and tells the log whenever the answer changes."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._known = [revision.name for revision in read_revisions(directory)]
        self._misfit: str | None = None

    async def is_usable(self) -> bool:
        """Whether the service works on the schema as it is now; as before while the database is out of reach."""
        try:
            misfit = (await self._state()).misfit(self._known)
        except Unavailable:
            return self._misfit == ""
        if misfit != self._misfit:
            if misfit:
                _log.error("schema_not_usable", why=misfit)
            elif self._misfit:
                _log.info("schema_usable")
            self._misfit = misfit
        return not misfit

    async def _state(self) -> SchemaState:
        try:
            row = await self._database.fetch_row(_CURRENT)
        except _UNREADABLE:
            row = None
        return SchemaState(row["version_num"], row["oldest_service"]) if row else SchemaState(None, None)
