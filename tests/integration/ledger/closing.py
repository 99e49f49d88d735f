"""A date to close: a ledger and the owners it asks, a day on which all agree, and one way to spoil it for each kind."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

from ledger.api.decode import trade_of
from ledger.app.close.ports import Progress
from ledger.app.close.run_close import Asked, Outcome, Patience, RunClose
from ledger.closing import database_for_closes
from ledger.domain.close.kinds import Kind
from ledger.outbound.signing_key import TrustedKeys
from ledger.store.close.closes import CloseRow
from ledger.store.close.exceptions import ExceptionRow, read_exceptions
from poolkit.ids import new_id
from pools.types.v1 import types_pb2
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.books import Books, new_trade, open_books
from tests.integration.ledger.events import UNSAMPLED, payin, top_up, trade_event
from tests.integration.ledger.owners import BUY, DAY, SELL, Owners, open_owners
from tests.integration.ledger.signing import new_key

SOLD = {"side": types_pb2.SIDE_OFF_RAMP}
ASKED = Asked("req_close", "a test", UNSAMPLED)


class ByHand:
    """How far a ledger is that is handed its events without a broker: nothing is ever under way."""

    async def ends(self) -> Mapping[object, int]:
        return {}

    async def behind(self, ends: Mapping[object, int]) -> int:
        return 0


class Day:
    """One date in the lives of a ledger and three owners."""

    def __init__(self, books: Books, owners: Owners, run: RunClose) -> None:
        self.books = books
        self.owners = owners
        self.run = run
        self.told: list[str] = []
        self.organization_id = new_id("org")

    async def close(self, business_date: date = DAY, *, wait_seconds_max: float = 0.0) -> Outcome:
        """Closes the date; `told` has what was said meanwhile."""
        self.told = []
        return await self.run(business_date, ASKED, self.told.append, wait_seconds_max)

    async def exceptions(self, close: CloseRow) -> list[ExceptionRow]:
        """All of a close's exceptions."""
        pages = read_exceptions(self.books.database, close.close_id, after_number=0, kinds=[])
        return [row async for page in pages for row in page]

    async def reconciliation_state(self, trade_id: str) -> str:
        """What trade says of it to partners."""
        state: str = await self.owners.trade.fetch_value(
            "SELECT reconciliation_state FROM trades WHERE trade_id = $1", trade_id
        )
        return state

    async def pay_in(self, organization_id: str) -> str:
        """1,000.00 EUR that everybody agrees about; answers the event's id."""
        event = payin(organization_id)
        await self.books.apply(event)
        await self.owners.add_payin(event.event_id, organization_id)
        return event.event_id

    async def buy(self, *statuses: str, organization_id: str = "", hold: bool = True) -> str:
        """A buy that went through these statuses on the date, and that everybody agrees about."""
        organization_id = organization_id or self.organization_id
        trade_id = new_trade()
        if hold:
            await self.books.hold(organization_id, trade_id, gated=False)
        for status in statuses:
            await self.books.apply(trade_event(organization_id, trade_id, status))
            if status in {"settled", "returned"}:
                await self.owners.move_stock("-107.904009" if status == "settled" else "107.904009")
        return await self.owners.add_trade(trade_id, organization_id, BUY, *statuses)

    async def sell(self, *statuses: str) -> str:
        """A sale of 100 USDT, likewise."""
        trade_id = new_trade()
        for status in statuses:
            await self.books.apply(trade_event(self.organization_id, trade_id, status, **SOLD))
            await self.owners.move_stock("100.000000" if status == "settled" else "-100.000000")
        return await self.owners.add_trade(trade_id, self.organization_id, SELL, *statuses)

    async def be_clean(self) -> list[str]:
        """A day of every kind of event, on which nothing is wrong; answers the trades that ended."""
        await self.books.apply(top_up())
        await self.owners.move_stock("5000.000000")
        await self.pay_in(self.organization_id)
        trades = [await self.buy(status) for status in ("settled", "failed", "released")]
        trades += [await self.buy("settled", "returned"), await self.sell("settled")]
        # Reserved five minutes before midnight: that is not too long.
        trade_id = new_trade()
        await self.books.hold(self.organization_id, trade_id)
        late = datetime(2026, 11, 22, 23, 55, tzinfo=UTC)
        await self.owners.add_trade(trade_id, self.organization_id, BUY, at=late)
        return trades


Plant = Callable[[Day], Awaitable[dict[str, Any]]]
"""Spoils the day in one way; answers ids that the exception must have."""


async def _terminal_trade_without_posting(day: Day) -> dict[str, Any]:
    trade_id = await day.owners.add_trade(new_trade(), day.organization_id, SELL, "settled")
    return {"trade_id": trade_id}


async def _posting_without_terminal_trade(day: Day) -> dict[str, Any]:
    trade_id = new_trade()
    await day.books.apply(trade_event(day.organization_id, trade_id, **SOLD))
    await day.owners.move_stock("100.000000")
    return {"trade_id": trade_id}


async def _amount_mismatch(day: Day) -> dict[str, Any]:
    trade_id = await day.buy("settled")
    await day.owners.webhook_ingest.execute(
        "UPDATE webhooks SET amount = 107.904008 WHERE transact_id = $1 AND kind = 'trade.settled'", trade_id
    )
    return {"trade_id": trade_id}


async def _hold_open_on_terminal_trade(day: Day) -> dict[str, Any]:
    trade_id = await day.buy("failed")
    await day.books.admin.execute("UPDATE holds SET state = 'open', ended_at = NULL WHERE trade_id = $1", trade_id)
    return {"trade_id": trade_id, "hold_id": trade_id.replace("pt_", "hold_")}


async def _reserved_too_long(day: Day) -> dict[str, Any]:
    trade_id = new_trade()
    await day.books.hold(day.organization_id, trade_id, "10.00")
    terms = BUY | {"fiat": "10.00", "crypto": "10.790400", "fee": "0.02"}
    return {"trade_id": await day.owners.add_trade(trade_id, day.organization_id, terms)}


async def _event_not_processed(day: Day) -> dict[str, Any]:
    why = "The trade does not exist."
    trade_id = new_trade()
    webhook_id = await day.owners.add_report(trade_id, "settled", "33.000000", given_up=why)
    return {"trade_id": trade_id, "webhook_id": webhook_id}


async def _event_id_reused(day: Day) -> dict[str, Any]:
    trade_id = await day.buy("settled")
    first: str = await day.owners.webhook_ingest.fetch_value(
        "SELECT webhook_id FROM webhooks WHERE transact_id = $1", trade_id
    )
    webhook_id = await day.owners.add_report(trade_id, "settled", "1.000000", conflicts_with=first)
    return {"trade_id": trade_id, "webhook_id": webhook_id}


async def _returned_without_settled(day: Day) -> dict[str, Any]:
    trade_id = new_trade()
    late = datetime(2026, 11, 22, 23, 58, tzinfo=UTC)
    await day.books.hold(day.organization_id, trade_id)
    await day.owners.add_trade(trade_id, day.organization_id, BUY, at=late)
    return {"trade_id": trade_id, "webhook_id": await day.owners.add_report(trade_id, "returned", effect="early")}


async def _settled_without_hold(day: Day) -> dict[str, Any]:
    return {"trade_id": await day.buy("settled", hold=False)}


async def _payin_without_known_reference(day: Day) -> dict[str, Any]:
    return {"event_id": await day.pay_in("unallocated"), "funding_reference": "0PREFERENCE"}


async def _negative_partner_balance(day: Day) -> dict[str, Any]:
    poor = new_id("org")
    await day.buy("settled", organization_id=poor)
    return {"organization_id": poor}


async def _inventory_difference(day: Day) -> dict[str, Any]:
    await day.owners.move_stock("1.000000")
    return {"pool_id": "EUR-USDT"}


async def _chain_head_not_verified(day: Day) -> dict[str, Any]:
    link = hashlib.sha256(b"another").digest()
    await day.books.admin.execute(
        "UPDATE chain_heads SET link = $1 WHERE organization_id = $2", link, day.organization_id
    )
    return {"organization_id": day.organization_id}


PLANTS: dict[Kind, Plant] = {
    Kind.TERMINAL_TRADE_WITHOUT_POSTING: _terminal_trade_without_posting,
    Kind.POSTING_WITHOUT_TERMINAL_TRADE: _posting_without_terminal_trade,
    Kind.AMOUNT_MISMATCH: _amount_mismatch,
    Kind.HOLD_OPEN_ON_TERMINAL_TRADE: _hold_open_on_terminal_trade,
    Kind.RESERVED_TOO_LONG: _reserved_too_long,
    Kind.EVENT_NOT_PROCESSED: _event_not_processed,
    Kind.EVENT_ID_REUSED: _event_id_reused,
    Kind.RETURNED_WITHOUT_SETTLED: _returned_without_settled,
    Kind.SETTLED_WITHOUT_HOLD: _settled_without_hold,
    Kind.PAYIN_WITHOUT_KNOWN_REFERENCE: _payin_without_known_reference,
    Kind.NEGATIVE_PARTNER_BALANCE: _negative_partner_balance,
    Kind.INVENTORY_DIFFERENCE: _inventory_difference,
    # Last: a chain that is broken stays so.
    Kind.CHAIN_HEAD_NOT_VERIFIED: _chain_head_not_verified,
}


@asynccontextmanager
async def open_day(postgres: RunningPostgres, progress: Progress | None = None) -> AsyncIterator[Day]:
    """A date on which nothing has happened yet, at owners of its own; no broker lies between, unless one is given."""
    async with open_books(postgres) as books, open_owners(postgres) as owners:
        database = database_for_closes(books.url)
        key = new_key()
        run = RunClose(
            database,
            owners.client,
            progress or ByHand(),
            key,
            TrustedKeys([key.public_key]),
            mode="test",
            patience=Patience(reserved_seconds_max=600, unprocessed_seconds_max=900, wait_seconds_max=1),
            trade_of=trade_of,
        )
        try:
            yield Day(books, owners, run)
        finally:
            await database.close()
