"""A trade service of a test's own, and the wire to quote and ledger, each call of which a test can lose or delay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from poolkit.database import Database
from poolkit.errors import DeadlineExceeded, DomainError
from tests.e2e.databases import Databases
from tests.e2e.partners import POOL, SETTLES, Partner
from trade.app.recover import Recovery
from trade.app.transact import Answer, TransactQuotes
from trade.domain.intent import Attempt, TransactRequest
from trade.domain.trade import Hold, Terms
from trade.outbound.holds import HoldClient
from trade.outbound.quotes import QuoteClient

OTHER_POOL = "EUR-USDC"
HOLD = Hold("EUR", "100.00", "mobile_checkout_123")

Hook = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Wire:
    """Quote service and ledger behind a wire that a test can make faulty: each hook runs once, then is gone."""

    quotes: QuoteClient
    holds: HoldClient
    hooks: dict[str, Hook] = field(default_factory=dict)
    given_back: list[Attempt] = field(default_factory=list)

    async def _hook(self, name: str) -> None:
        await self.hooks.pop(name, _nothing)()

    async def consume(self, attempts: Sequence[Attempt], seconds: float) -> list[Terms | DomainError]:
        await self._hook("before consume")
        answer = await self.quotes.consume(attempts, seconds)
        await self._hook("after consume")
        return answer

    async def give_back(self, attempts: Sequence[Attempt], seconds: float) -> None:
        self.given_back += attempts
        await self._hook("before give_back")
        await self.quotes.give_back(attempts, seconds)
        await self._hook("after give_back")

    async def place(self, attempts: Sequence[tuple[Attempt, Hold]], seconds: float) -> list[DomainError | None]:
        await self._hook("before place")
        answer = await self.holds.place(attempts, seconds)
        await self._hook("after place")
        return answer

    async def void(self, attempts: Sequence[Attempt], seconds: float) -> None:
        await self.holds.void(attempts, seconds)


async def lost() -> None:
    """The answer never came."""
    raise DeadlineExceeded


@dataclass(slots=True)
class Desk:
    """A trade service of the test's own."""

    database: Database
    wire: Wire
    transact: TransactQuotes
    recovery: Recovery
    books: Databases
    expected_hold: Hold | None

    async def accept(
        self, partner: Partner, quote_id: str, *, key: str = "order-1", pool_id: str = POOL, amount: str = "100.00"
    ) -> Answer:
        expected = self.expected_hold._replace(amount=amount) if self.expected_hold else None
        request = TransactRequest(
            partner.organization_id, "req_fault", "", key, quote_id, pool_id, expected_hold=expected
        )
        return (await self.transact([request]))[0]

    async def state(self, quote_id: str) -> str:
        query = "SELECT state FROM intents WHERE quote_id = $1 ORDER BY created_at DESC LIMIT 1"
        return str(await self.database.fetch_value(query, quote_id))

    async def trades(self, quote_id: str) -> int:
        return int(await self.database.fetch_value("SELECT count(*) FROM trades WHERE quote_id = $1", quote_id))

    async def quote_status(self, partner: Partner, quote_id: str) -> str:
        return str((await partner.rest.http.get(f"/v1/pools/quotes/{quote_id}")).json()["status"])


async def firm_quote(partner: Partner) -> str:
    return str((await partner.rest.quote(destinationAddress=SETTLES[:-4] + "0005")).json()["quoteId"])


async def held_by(desk: Desk, partner: Partner) -> Decimal:
    query = "SELECT held FROM accounts WHERE kind = 'partner' AND organization_id = $1 AND currency = 'EUR'"
    return Decimal(await desk.books.value("ledger", query, partner.organization_id))


async def until_hooked(desk: Desk, name: str) -> None:
    """Waits until the live driver is inside the hook."""
    async with asyncio.timeout(10):
        while name in desk.wire.hooks:
            await asyncio.wait({asyncio.ensure_future(desk.database.fetch_value("SELECT pg_sleep(0.01)"))})
