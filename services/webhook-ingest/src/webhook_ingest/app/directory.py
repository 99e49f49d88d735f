"""Owns the sources as the door sees them: in memory, told of changes, and never older than a moment."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from poolkit.database import Database
from poolkit.errors import Unavailable
from poolkit.security import Cipher
from webhook_ingest.domain.events import Kind
from webhook_ingest.domain.sources import Scheme
from webhook_ingest.store import sources
from webhook_ingest.store.sources import KnownSource

AGE_SECONDS_MAX: Final = 2.0
"""How long a secret that ended may still be taken, and a new source be unknown, when a notification gets lost."""

# Names that nobody has come from strangers: they may not make us ask the database more often than this.
_MISS_SECONDS_MIN: Final = 0.1

_log = structlog.get_logger("webhook_ingest.directory")


class OpenSource(NamedTuple):
    """A source with its secrets in force."""

    name: str
    kinds: frozenset[Kind]
    scheme: Scheme
    signature_header: str
    secrets: tuple[str, ...]


class SourceDirectory:
    """Finds a source by its name without a query a webhook."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher
        self._sources: dict[str, OpenSource] = {}
        self._unreadable: set[str] = set()
        self._decrypted: dict[bytes, str] = {}
        self._loaded_at = float("-inf")
        self._changed = True
        self._loading = asyncio.Lock()

    async def listen(self) -> None:
        """Hears from now on of changes that other replicas make."""
        await self._database.listen(sources.CHANNEL, self.forget)

    def forget(self, _payload: str = "") -> None:
        """The next look asks the database."""
        self._changed = True

    async def find(self, name: str) -> OpenSource | None:
        """The source; None where there is none. Raises Unavailable when that, or its secrets, cannot be known."""
        source = self._sources.get(name)
        age_seconds = time.monotonic() - self._loaded_at
        if self._changed or age_seconds > (AGE_SECONDS_MAX if source else _MISS_SECONDS_MIN):
            await self._load()
            source = self._sources.get(name)
        if name in self._unreadable:
            raise Unavailable
        return source

    async def _load(self) -> None:
        asked_at = time.monotonic()
        async with self._loading:
            if self._loaded_at >= asked_at and not self._changed:
                # Somebody else asked while we waited.
                return
            # Before asking: a change that comes meanwhile must not be overlooked.
            self._changed = False
            try:
                loaded = await sources.load_all(self._database)
            except BaseException:
                self._changed = True
                raise
            self._open(loaded)
            self._loaded_at = time.monotonic()

    def _open(self, loaded: Sequence[KnownSource]) -> None:
        """One that cannot be read, such as where the key it was stored under is not here yet, closes its own door."""
        decrypted: dict[bytes, str] = {}
        opened: dict[str, OpenSource] = {}
        unreadable: set[str] = set()
        for known in loaded:
            try:
                secrets = {text: self._decrypted.get(text) or self._cipher.decrypt(text) for text in known.encrypted}
            except ValueError as error:
                unreadable.add(known.name)
                if known.name not in self._unreadable:
                    _log.error("source_secret_unreadable", source=known.name, error=str(error))
                continue
            decrypted |= secrets
            opened[known.name] = OpenSource(
                known.name, known.kinds, known.scheme, known.signature_header, tuple(secrets.values())
            )
        self._decrypted, self._sources, self._unreadable = decrypted, opened, unreadable
