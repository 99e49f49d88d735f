"""The life of API keys: made, listed, rotated with an overlap, revoked; a key's text is given once and kept nowhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.entitlement import KeyKind
from gateway.store import keys
from gateway.store.keys import EndedKey, Statements, StoredKey
from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import InvalidRequest, KeyNotInForce, NotFound
from poolkit.ids import new_id
from poolkit.security import hash_key, new_api_key

LABEL_LENGTH_MAX: Final = 64
OVERLAP_SECONDS: Final = 24 * 3600.0
OVERLAP_SECONDS_MAX: Final = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key with its text, which is kept nowhere."""

    stored: StoredKey
    text: str = dataclasses.field(repr=False)


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """A new key, and the one it replaces, which has an end now."""

    created: CreatedKey
    replaced: StoredKey


class Keys:
    """What colleagues may do with keys. Every change is known to each replica within two seconds."""

    def __init__(self, database: Database, *, pepper: bytes) -> None:
        self._database = database
        self._pepper = pepper

    async def create(self, context: CallContext, kind: KeyKind, label: str) -> CreatedKey:
        """Makes a key of the context's organization. Not safe to repeat. Raises NotFound, InvalidRequest."""
        check_text(label, "label", LABEL_LENGTH_MAX)
        return await self.insert(self._database, context, kind, label)

    async def page(self, organization_id: str, *, before: str, limit: int) -> Sequence[StoredKey]:
        """An organization's keys, newest first."""
        return await keys.list_keys(self._database, organization_id, before=before, limit=limit)

    async def rotate(self, context: CallContext, key_id: str, *, overlap_seconds: float) -> RotatedKey:
        """Makes a key in the place of another, which stays in force for the overlap, 0 s to 30 days.

        An organization in the context must be the key's. Not safe to repeat: a key has one successor, so that no key
        is in force that nobody holds. Raises NotFound, InvalidRequest, KeyNotInForce.
        """
        if not 0 <= overlap_seconds <= OVERLAP_SECONDS_MAX:
            raise InvalidRequest("it must be 0 seconds to 30 days.", field="overlap")
        async with self._database.transaction() as unit:
            replaced = await keys.end_key(unit, key_id, context.organization_id, seconds=overlap_seconds)
            if replaced is None:
                raise NotFound("key", detail="No key has this id.")
            if isinstance(replaced, EndedKey):
                raise KeyNotInForce(_why(replaced))
            own = context._replace(organization_id=replaced.organization_id)
            created = await self.insert(unit, own, replaced.kind, replaced.label, replaces_key_id=replaced.key_id)
            await unit.commit()
        return RotatedKey(created, replaced)

    async def revoke(self, key_id: str) -> StoredKey:
        """Revokes a key for good. Safe to repeat. Raises NotFound."""
        async with self._database.transaction() as unit:
            revoked = await keys.revoke_key(unit, key_id)
            if revoked is None:
                raise NotFound("key", detail="No key has this id.")
            await unit.commit()
        return revoked

    async def insert(
        self,
        statements: Statements,
        context: CallContext,
        kind: KeyKind,
        label: str,
        *,
        replaces_key_id: str | None = None,
    ) -> CreatedKey:
        """Mints a key and stores its hash, within the caller's transaction where one is given. Raises NotFound."""
        text = new_api_key(kind.value, "test" if context.mode == "test" else "live")
        stored = await keys.insert_key(
            statements,
            context,
            key_id=new_id("key"),
            kind=kind,
            label=label,
            key_hash=hash_key(text, self._pepper),
            replaces_key_id=replaces_key_id,
        )
        if stored is None:
            raise NotFound("organization", detail="No organization has this id.")
        return CreatedKey(stored, text)


def _why(ended: EndedKey) -> str:
    if ended.is_revoked:
        return "It is revoked."
    return f"{ended.successor_id} took its place." if ended.successor_id else "It has an end."


def check_text(text: str, field: str, length_max: int) -> None:
    """Raises InvalidRequest for a name or label that is empty, too long or not printable."""
    if not 1 <= len(text) <= length_max or not text.isprintable():
        raise InvalidRequest(f"it must be 1 to {length_max} printable characters.", field=field)
