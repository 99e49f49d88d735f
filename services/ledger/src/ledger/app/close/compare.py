"""Owns comparing a date's facts: streams merged, each group judged with what the ledger knows, findings written away.

Memory is flat: a page of each stream and a chunk of groups, whatever the day. Source: contract section 8.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from ledger.app.close.ports import Owners, Stock
from ledger.app.close.states import States
from ledger.app.verify_chains import Trust
from ledger.domain.close.contents import Contents, Tally, contents_of
from ledger.domain.close.facts import TradeGroup
from ledger.domain.close.findings import Finding
from ledger.domain.close.kinds import Kind
from ledger.domain.close.merging import payin_groups, trade_groups
from ledger.domain.close.payins import judge_payin
from ledger.domain.close.standing import (
    BrokenChain,
    InventoryLine,
    judge_balance,
    judge_chain,
    judge_event,
    judge_inventory,
    judge_reused,
)
from ledger.domain.close.trades import Limits, judge_trade, missing_postings
from ledger.store.close import standing
from ledger.store.close.cursors import DayRows
from ledger.store.close.lookups import look_up
from ledger.store.close.standing import Balances
from ledger.store.heads import latest_statement
from poolkit.database import Unit
from poolkit.money import FIAT

CHUNK_GROUPS: Final = 1_000

TradeOf = Callable[[standing.Unapplied], str]
"""The trade an event is about; empty where it is about none, or nobody can tell."""

AlreadyTold = Callable[[Kind, Sequence[str]], Awaitable[set[str]]]
"""Which of some events a finding of a kind names already; answered by whoever keeps the findings."""

Batches = AsyncIterator[Sequence[Finding]]


class Cut(NamedTuple):
    """What is compared, and as of when."""

    business_date: date
    at: datetime
    provisional: bool
    limits: Limits

    @property
    def before_ms(self) -> int:
        """Of a date that goes on: what came about from here on is left out; else 0."""
        return self.limits.cut_ms if self.provisional else 0


class Comparison:
    """One pass over a date, in the ledger's snapshot that `unit` holds. Iterate `findings`, then read `contents`."""

    def __init__(self, unit: Unit, owners: Owners, cut: Cut, trade_of: TradeOf, trust: Trust) -> None:
        self._unit = unit
        self._owners = owners
        self._cut = cut
        self._trade_of = trade_of
        self._trust = trust
        self._rows = DayRows(unit, cut.business_date)
        self.tally = Tally()
        self.states = States()
        self._balances: Balances | None = None
        self._inventory: list[InventoryLine] = []

    async def findings(self, already_told: AlreadyTold) -> Batches:
        """Everything that is wrong, in a stable order. `already_told` says which events a finding names already."""
        await self._rows.open()
        async for findings in self._trades():
            yield findings
        async for findings in self._payins():
            yield findings
        async for findings in self._events(already_told):
            yield findings
        yield await self._standing()

    @property
    def contents(self) -> Contents:
        """What it came to in numbers, once every finding was taken."""
        assert self._balances is not None
        return contents_of(self.tally, self._balances.lines, self._inventory)

    async def _trades(self) -> Batches:
        cut, owners = self._cut, self._owners
        groups = trade_groups(
            ended=owners.trade_facts(cut.business_date, until=cut.at if cut.provisional else None),
            reserved=owners.open_trades(reserved_before=cut.at),
            postings=self._rows.postings(),
            reports=owners.report_facts(cut.business_date),
            notes=self._rows.notes(),
            before_ms=cut.before_ms,
        )
        async with aclosing(groups):
            async for chunk in _chunks(groups):
                yield await self._judge(chunk)

    async def _judge(self, chunk: Sequence[TradeGroup]) -> list[Finding]:
        known = await look_up(
            self._unit,
            [posting.number for group in chunk for posting in group.postings],
            [group.trade_id for group in chunk if group.ended],
            [event_id for group in chunk for event_id in missing_postings(group)],
        )
        found: list[Finding] = []
        for group in chunk:
            findings = judge_trade(group, known, self._cut.limits)
            self.tally.add_trade(group, findings)
            self.states.add_group(group, findings)
            found += findings
        return found

    async def _payins(self) -> Batches:
        facts = self._owners.payin_facts(self._cut.business_date)
        groups = payin_groups(facts=facts, rows=self._rows.payins(), before_ms=self._cut.before_ms)
        async with aclosing(groups):
            async for group in groups:
                findings = judge_payin(group, self._cut.limits)
                self.tally.add_payin(group, findings)
                if findings:
                    yield findings

    async def _events(self, already_told: AlreadyTold) -> Batches:
        cut = self._cut
        async for page in standing.read_unapplied(self._unit, cut.business_date):
            told = await already_told(Kind.EVENT_NOT_PROCESSED, [unapplied.event.event_id for unapplied in page])
            judged = [
                judge_event(unapplied.event, self._trade_of(unapplied), cut.limits)
                for unapplied in page
                if unapplied.event.event_id not in told and self._counts(unapplied.event.received_ms)
            ]
            found = self._counted([finding for finding in judged if finding])
            self.states.add_findings(found)
            yield found
        async for notes in standing.read_reused(self._unit, cut.business_date):
            yield self._counted([judge_reused(note) for note in notes if self._counts(note.occurred_ms)])

    async def _standing(self) -> list[Finding]:
        cut = self._cut
        self._balances = await standing.read_balances(self._unit, cut.business_date)
        stocks = await self._owners.stocks(cut.business_date)
        self._inventory, comparable = _inventory(self._balances, stocks, provisional=cut.provisional)
        found = [*judge_inventory(comparable, cut.limits.cut_ms)]
        negative = await standing.read_negative(self._unit, cut.business_date)
        found += [judge_balance(balance, cut.limits.cut_ms) for balance in negative]
        broken = [*await standing.read_broken_chains(self._unit), *await self._unsigned()]
        found += [judge_chain(chain, cut.limits.cut_ms) for chain in broken]
        return self._counted(found)

    async def _unsigned(self) -> list[BrokenChain]:
        """Whether what was signed last was signed by a key that counts; `poolctl ledger verify` checks all of them."""
        signed = await latest_statement(self._unit)
        if signed is None or self._trust.is_signed(signed.statement.key_id, signed.statement.text, signed.signature):
            return []
        statement = signed.statement
        why = f"statement {statement.number}, signed at the close of {statement.close.business_date}, has no signature"
        return [BrokenChain("", statement.number, f"{why} of a key that counts", "")]

    def _counts(self, at_ms: int) -> bool:
        return not self._cut.before_ms or at_ms < self._cut.before_ms

    def _counted(self, findings: list[Finding]) -> list[Finding]:
        self.tally.add(findings)
        return findings


def end_of(business_date: date) -> datetime:
    """The first instant of the next date, UTC."""
    start = datetime(business_date.year, business_date.month, business_date.day, tzinfo=UTC)
    return datetime.fromtimestamp(start.timestamp() + 86_400, UTC)


def _inventory(
    balances: Balances, stocks: Iterable[Stock], *, provisional: bool
) -> tuple[list[InventoryLine], list[InventoryLine]]:
    """Every line, and those that can be compared: while a date goes on, one side may have seen one movement more."""
    # Fiat is a limit for payouts and has no account (contract section 5).
    quoted = {(stock.pool_id, stock.amount.currency): stock for stock in stocks if stock.amount.currency not in FIAT}
    lines, comparable = [], []
    for pool_id, currency in sorted({*balances.inventory, *quoted}):
        stock = quoted.get((pool_id, currency))
        ledger, entries = balances.inventory.get((pool_id, currency), (None, 0))
        line = InventoryLine(pool_id, currency, ledger, stock.amount if stock else None)
        lines.append(line)
        if not provisional or entries == (stock.movements if stock else 0):
            comparable.append(line)
    return lines, comparable


async def _chunks(groups: AsyncIterator[TradeGroup]) -> AsyncIterator[list[TradeGroup]]:
    chunk: list[TradeGroup] = []
    async for group in groups:
        chunk.append(group)
        if len(chunk) == CHUNK_GROUPS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
