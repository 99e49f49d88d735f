"""Owns closing a date: wait for the cut, compare, store what is new as a signed revision, tell the trades."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from prometheus_client import Histogram

from ledger.app.close.compare import Comparison, Cut, TradeOf, end_of
from ledger.app.close.cutoff import Cutoff
from ledger.app.close.ports import Owners, Progress, Tell
from ledger.app.close.states import States
from ledger.app.close.tell_trades import TellTrades
from ledger.app.sign_heads import Signer, sign_heads
from ledger.app.verify_chains import Trust
from ledger.domain.close.contents import CHANGES_MAX, Contents, changed_numbers
from ledger.domain.close.findings import FindingsHash
from ledger.domain.close.kinds import Kind
from ledger.domain.close.trades import Limits
from ledger.domain.heads import Close
from ledger.store.close import closes, exceptions, standing
from ledger.store.close.closes import CloseChanges, CloseRow
from poolkit.database import Database, Unit
from poolkit.errors import InvalidRequest, Unavailable
from poolkit.ids import new_id

_DURATION = Histogram(
    "pools_ledger_close_duration_seconds", "How long closing took", buckets=(0.1, 0.5, 1, 5, 15, 30, 60, 120, 180, 600)
)


class Patience(NamedTuple):
    """How long things may take before they are exceptions, or a close gives up."""

    reserved_seconds_max: float
    unprocessed_seconds_max: float
    wait_seconds_max: float


class Asked(NamedTuple):
    """Who asked for a close, for the record."""

    request_id: str
    requested_by: str
    traceparent: str


class Outcome(NamedTuple):
    """The newest close of the date, and whether this run made it."""

    close: CloseRow
    created: bool
    states: States | None
    """What its trades are to be told; None where the close was there already."""


class RunClose:
    """Closes one date at a time. Safe to repeat: equal contents make no second revision.

    `database` is one for reports: its statements and transactions may take as long as a close does. Raises
    InvalidRequest, and Unavailable where an owner is out of reach or waiting was in vain; then nothing was stored.
    """

    def __init__(
        self,
        database: Database,
        owners: Owners | None,
        progress: Progress,
        signer: Signer | None,
        trust: Trust,
        *,
        mode: str,
        patience: Patience,
        trade_of: TradeOf,
    ) -> None:
        self._database = database
        self._owners = owners
        self._progress = progress
        self._signer = signer
        self._trust = trust
        self._mode = mode
        self._patience = patience
        self._trade_of = trade_of
        self._turn = asyncio.Lock()

    async def __call__(self, business_date: date, asked: Asked, tell: Tell, wait_seconds_max: float = 0.0) -> Outcome:
        """Close the date; `tell` hears what is being done."""
        signer, owners = self._signer, self._owners
        if signer is None or owners is None:
            raise Unavailable(
                "This ledger closes no dates: set its POOLS_CLOSE_SIGNING_KEY_FILE and the addresses of trade, "
                "webhook-ingest and quote."
            )
        async with self._turn:
            with _DURATION.time():
                cut = self._cut(business_date, await self._now())
                cutoff = Cutoff(owners, self._progress, business_date, cut.at, over=not cut.provisional)
                await cutoff.wait(wait_seconds_max or self._patience.wait_seconds_max, tell)
                outcome = await self._close(cut, owners, signer, asked, tell)
            tell(f"Close {outcome.close.revision} of {business_date} is stored; the trades are told.")
            await TellTrades(self._database, owners)(outcome.close, outcome.states)
        return outcome

    def _cut(self, business_date: date, now: datetime) -> Cut:
        if business_date > now.date():
            raise InvalidRequest(f"{business_date} has not begun; close a date up to today.", field="business_date")
        provisional = business_date == now.date()
        # Whole milliseconds, as events and ids have them.
        at = now.replace(microsecond=now.microsecond // 1000 * 1000) if provisional else end_of(business_date)
        patience = self._patience
        limits = Limits(
            cut_ms=round(at.timestamp() * 1000),
            reserved_ms_max=round(patience.reserved_seconds_max * 1000),
            waiting_ms_max=round(patience.unprocessed_seconds_max * 1000) if provisional else 0,
        )
        return Cut(business_date, at, provisional, limits)

    async def _now(self) -> datetime:
        now: datetime = await self._database.fetch_value("SELECT clock_timestamp()")
        return now.astimezone(UTC)

    async def _close(self, cut: Cut, owners: Owners, signer: Signer, asked: Asked, tell: Tell) -> Outcome:
        close_id = new_id("close")
        async with self._database.transaction() as snapshot, self._database.transaction() as unit:
            comparison = Comparison(snapshot, owners, cut, self._trade_of, self._trust)
            found = await _keep(unit, close_id, comparison, cut, tell)
            contents = comparison.contents
            inbox_sequence = await standing.read_inbox_sequence(snapshot)
            digest = contents.digest(
                cut.business_date, mode=self._mode, provisional=cut.provisional, findings=found.digest
            )
            previous = await closes.find_close(unit, cut.business_date)
            if previous is not None and previous.content_hash == digest:
                return Outcome(previous, created=False, states=None)
            await exceptions.pair_candidates(unit, close_id)
            close = CloseRow(
                close_id,
                self._mode,
                cut.business_date,
                previous.revision + 1 if previous else 1,
                cut.provisional,
                cut.at,
                inbox_sequence,
                digest,
                contents,
                contents.matched,
                found.count,
                await _changes(unit, previous, close_id, contents) if previous else None,
                *asked,
                created_at=cut.at,
            )
            close = await closes.keep_close(unit, close)
            await sign_heads(unit, signer, Close(close_id, cut.business_date, close.revision), mode=self._mode)
            await unit.commit()
        return Outcome(close, created=True, states=comparison.states)


async def _keep(unit: Unit, close_id: str, comparison: Comparison, cut: Cut, tell: Tell) -> FindingsHash:
    found = FindingsHash()

    async def already_told(kind: Kind, event_ids: Sequence[str]) -> set[str]:
        return await exceptions.told_of(unit, close_id, kind, event_ids)

    said = 0
    async for findings in comparison.findings(already_told):
        if findings:
            await exceptions.keep_exceptions(
                unit, close_id, findings, first_number=found.count + 1, cut_ms=cut.limits.cut_ms
            )
            found.add(findings)
        if comparison.tally.compared - said >= 50_000:
            said = comparison.tally.compared
            tell(f"{said} trades are compared, {found.count} exceptions found.")
    return found


async def _changes(unit: Unit, previous: CloseRow, close_id: str, contents: Contents) -> CloseChanges:
    added, now = await exceptions.only_in(unit, close_id, previous.close_id, CHANGES_MAX)
    removed, before = await exceptions.only_in(unit, previous.close_id, close_id, CHANGES_MAX)
    sentences = [
        *[f"Added {told}." for told in now],
        *[f"Removed {told}." for told in before],
        *changed_numbers(previous.contents, contents),
    ]
    return CloseChanges(added, removed, sentences[:CHANGES_MAX])
