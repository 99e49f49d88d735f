"""Owns comparing the stored events with what their owners say they told: each event once, the same bytes, none lost."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple, Protocol

from ledger.app.merge import merged
from ledger.store import whole_books
from poolkit.database import Database, Record

SHOWN_MAX: Final = 20
ASKED_AGAIN_MAX: Final = 1000
SETTLE_SECONDS_MAX: Final = 10.0
_PAUSE_SECONDS: Final = 0.25

MISSING_IN_LEDGER: Final = "missing_in_ledger"
MISSING_AT_OWNER: Final = "missing_at_owner"
DIFFERENT: Final = "different_bytes"

Told = Callable[[int], None]


class OwnedEvent(NamedTuple):
    """An event as its owner keeps it."""

    event_id: str
    topic: str
    payload_hash: bytes
    published: bool


class Owner(Protocol):
    """A service that publishes events which the ledger consumes."""

    @property
    def name(self) -> str: ...
    @property
    def topics(self) -> Sequence[str]: ...

    def events(self, event_ids: Sequence[str] = ()) -> AsyncIterator[list[OwnedEvent]]:
        """All events of its topics, or those named (at most 1,000), by id. Raises Unavailable."""


class Disagreement(NamedTuple):
    """One event on which owner and ledger do not agree."""

    owner: str
    kind: str
    topic: str
    event_id: str
    ledger_hash: str
    owner_hash: str


class Agreement(NamedTuple):
    """How the comparison went."""

    compared: dict[str, int]
    """Events known to either, by owner."""
    unpublished: int
    """Known to their owner only, for they wait to be sent; no disagreement."""
    disagreeing: dict[str, int]
    """By kind."""
    first: list[Disagreement]

    @property
    def ok(self) -> bool:
        """Whether they agree on all."""
        return not self.disagreeing


async def compare_owners(database: Database, owners: Sequence[Owner], told: Told = lambda _: None) -> Agreement:
    """Walks the inbox beside each owner's outbox, by event id, a page at a time.

    Both go on while they are read, so what seems amiss is asked for again; what the ledger lacks, for 10 s.
    """
    compared: Counter[str] = Counter()
    disagreeing: Counter[str] = Counter()
    first: list[Disagreement] = []
    unpublished = 0
    for owner in owners:
        suspects: list[Disagreement] = []
        waiting = 0
        pairs = merged(whole_books.kept_events(database, list(owner.topics)), owner.events(), _kept_id, _owned_id)
        async for event_id, kept, owned in pairs:
            compared[owner.name] += 1
            if compared.total() % whole_books.PAGE_ROWS == 0:
                told(compared.total())
            if kept is None and owned is not None and not owned.published:
                waiting += 1
                continue
            disagreement = _judge(owner.name, event_id, kept, owned)
            if disagreement is None:
                continue
            if len(suspects) < ASKED_AGAIN_MAX:
                suspects.append(disagreement)
            else:
                disagreeing[disagreement.kind] += 1
        for disagreement in await _asked_again(database, owner, suspects):
            disagreeing[disagreement.kind] += 1
            first.append(disagreement)
        unpublished += waiting
    told(compared.total())
    return Agreement(dict(compared), unpublished, dict(disagreeing), first[:SHOWN_MAX])


async def _asked_again(database: Database, owner: Owner, suspects: list[Disagreement]) -> list[Disagreement]:
    """Those that still disagree: an event may have been sent and not yet stored, or stored while its owner was read."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while suspects:
        ids = [suspect.event_id for suspect in suspects]
        owned = {event.event_id: event async for page in owner.events(ids) for event in page}
        kept = {row["event_id"]: row for row in await whole_books.find_kept(database, list(owner.topics), ids)}
        judged = [_judge(owner.name, id_, kept.get(id_), owned.get(id_)) for id_ in ids]
        suspects = [disagreement for disagreement in judged if disagreement is not None]
        # What the ledger has, its owner had before: only the other way round is there something to wait for.
        if time.monotonic() > deadline or all(suspect.kind != MISSING_IN_LEDGER for suspect in suspects):
            break
        await asyncio.sleep(_PAUSE_SECONDS)
    return suspects


def _judge(owner: str, event_id: str, kept: Record | None, owned: OwnedEvent | None) -> Disagreement | None:
    if kept is None and owned is None:
        return None
    topic = owned.topic if owned else str(kept["topic"]) if kept else ""
    ledger_hash = kept["payload_hash"].hex() if kept else ""
    owner_hash = owned.payload_hash.hex() if owned else ""
    if kept is None:
        kind = MISSING_IN_LEDGER
    elif owned is None:
        kind = MISSING_AT_OWNER
    elif ledger_hash != owner_hash or kept["topic"] != owned.topic:
        kind = DIFFERENT
    else:
        return None
    return Disagreement(owner, kind, topic, event_id, ledger_hash, owner_hash)


def _kept_id(row: Record) -> str:
    found: str = row["event_id"]
    return found


def _owned_id(event: OwnedEvent) -> str:
    return event.event_id
