"""Owns merging streams that are ordered by the same key into groups of one key, a page of each in memory at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from ledger.domain.close.facts import (
    LedgerNote,
    PayinFact,
    PayinGroup,
    PayinRow,
    PostingRow,
    ReportFact,
    TradeFact,
    TradeGroup,
)

Pages = AsyncIterator[Sequence[Any]]
"""Pages of tuples whose first value is the key, ascending by code points, which is the order of UTF-8's bytes too."""

# Above every id there is.
_END: Final = "\U0010ffff"


class OutOfOrder(Exception):
    """An owner broke its promise of order; what it told cannot be merged, and guessing would make exceptions up."""

    def __init__(self, stream: str, key: str, previous: str) -> None:
        super().__init__(f"{stream} told of {key} after {previous}: it promised ascending order")


class Ordered:
    """One stream, looked at from its lowest key that is not taken yet."""

    def __init__(self, name: str, pages: Pages) -> None:
        self.key = ""
        """Of the next row; above all others when there is none."""
        self._name = name
        self._pages = pages
        self._page: Sequence[Any] = ()
        self._position = -1

    async def step(self) -> None:
        """To the next row; the first call goes to the first one."""
        self._position += 1
        while self._position >= len(self._page):
            page = await anext(self._pages, None)
            if page is None:
                self.key = _END
                return
            self._page = page
            self._position = 0
        key = self._page[self._position][0]
        if key < self.key:
            raise OutOfOrder(self._name, key, self.key)
        self.key = key

    async def take(self, key: str) -> tuple[Any, ...]:
        """Every row of that key, which must be the lowest there is."""
        taken = []
        while self.key == key:
            taken.append(self._page[self._position])
            await self.step()
        return tuple(taken)


async def merge(streams: Sequence[Ordered]) -> AsyncIterator[tuple[str, list[tuple[Any, ...]]]]:
    """Each key once, in order, with the rows every stream has of it."""
    for stream in streams:
        await stream.step()
    while (key := min(stream.key for stream in streams)) != _END:
        yield key, [await stream.take(key) if stream.key == key else () for stream in streams]


async def trade_groups(
    *, ended: Pages, reserved: Pages, postings: Pages, reports: Pages, notes: Pages, before_ms: int = 0
) -> AsyncGenerator[TradeGroup, None]:
    """All that is known of each trade. What came about at `before_ms` or later is left out, unless that is 0.

    A date that has not ended is looked at while it goes on: leaving out by one instant makes all owners tell of the
    same moment.
    """
    streams = [
        Ordered("trade's terminal trades", ended),
        Ordered("trade's open trades", reserved),
        Ordered("the ledger's transactions", postings),
        Ordered("webhook-ingest's reports", reports),
        Ordered("the ledger's notes", notes),
    ]
    async for trade_id, (facts, opened, posted, reported, noted) in merge(streams):
        group = TradeGroup(trade_id, _one(facts), _one(opened), posted, reported, noted)
        if before_ms:
            group = _before(group, before_ms)
        yield group


async def payin_groups(*, facts: Pages, rows: Pages, before_ms: int = 0) -> AsyncGenerator[PayinGroup, None]:
    """All that is known of each pay-in. What came about at `before_ms` or later is left out, unless that is 0."""
    streams = [Ordered("webhook-ingest's pay-ins", facts), Ordered("the ledger's pay-ins", rows)]
    async for event_id, (told, stored) in merge(streams):
        kept: tuple[PayinFact, ...] = told
        row: PayinRow | None = stored[0][1] if stored else None
        if before_ms:
            kept = tuple([fact for fact in kept if fact.processing.received_ms < before_ms])
            row = None if row and row.event.occurred_ms >= before_ms else row
        if kept or row:
            yield PayinGroup(event_id, kept, row)


def _before(group: TradeGroup, before_ms: int) -> TradeGroup:
    postings: tuple[PostingRow, ...] = group.postings
    reports: tuple[ReportFact, ...] = group.reports
    notes: tuple[LedgerNote, ...] = group.notes
    return group._replace(
        postings=tuple([row for row in postings if row.occurred_ms < before_ms]),
        reports=tuple([fact for fact in reports if fact.processing.received_ms < before_ms]),
        notes=tuple([note for note in notes if note.occurred_ms < before_ms]),
    )


def _one(facts: Sequence[TradeFact]) -> TradeFact | None:
    return facts[0] if facts else None
