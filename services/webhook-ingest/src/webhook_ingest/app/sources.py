"""Owns making sources and rotating their secrets."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from poolkit.database import Database
from poolkit.errors import InvalidRequest, NameTaken, NotFound
from poolkit.security import Cipher, new_webhook_secret
from webhook_ingest.domain.sources import (
    ACTIVE_SECRETS_MAX,
    OVERLAP_SECONDS_MAX,
    NewSource,
    Source,
    check_secret,
)
from webhook_ingest.store import sources
from webhook_ingest.store.sources import Origin


class WithSecret(NamedTuple):
    """A source and its new secret, which is shown this once."""

    source: Source
    secret: str


class Sources:
    """What operations do with sources. `changed` is called at each commit, so that this process knows at once."""

    def __init__(self, database: Database, cipher: Cipher, changed: Callable[[], None]) -> None:
        self._database = database
        self._cipher = cipher
        self._changed = changed

    async def create(self, new: NewSource, secret: str, origin: Origin) -> WithSecret:
        """Makes a source with this secret, or with a new one where it is empty. Raises NameTaken, InvalidRequest."""
        if secret:
            check_secret(secret, new.scheme)
        secret = secret or new_webhook_secret()
        async with self._database.transaction() as unit:
            if not await sources.insert(unit, new, origin):
                raise NameTaken
            await sources.add_secret(unit, new.name, self._cipher.encrypt(secret), origin)
            source = await sources.find(unit, new.name)
            await unit.commit()
        self._changed()
        assert source is not None
        return WithSecret(source, secret)

    async def rotate(self, name: str, overlap_seconds: int, origin: Origin) -> WithSecret:
        """Adds a secret; those before it end after the overlap. Raises NotFound, InvalidRequest.

        With an overlap of 0 they end at once, which always goes: it is what one does with a secret that leaked.
        """
        if not 0 <= overlap_seconds <= OVERLAP_SECONDS_MAX:
            raise InvalidRequest(f"it must be 0 to {OVERLAP_SECONDS_MAX}.", field="overlap_seconds")
        secret = new_webhook_secret()
        async with self._database.transaction() as unit:
            if await sources.find(unit, name) is None:
                raise NotFound("source", detail="There is no source of this name.")
            await sources.end_secrets(unit, name, overlap_seconds)
            await sources.add_secret(unit, name, self._cipher.encrypt(secret), origin)
            source = await sources.find(unit, name)
            assert source is not None
            if source.active_secret_count > ACTIVE_SECRETS_MAX:
                raise InvalidRequest(
                    f"{ACTIVE_SECRETS_MAX} secrets are in force already; wait until one ends, or give no overlap.",
                    field="overlap_seconds",
                )
            await unit.commit()
        self._changed()
        return WithSecret(source, secret)

    async def list_page(self, *, after: str, limit: int) -> Sequence[Source]:
        """Sources by name, those behind `after`."""
        return await sources.list_page(self._database, after=after, limit=limit)
