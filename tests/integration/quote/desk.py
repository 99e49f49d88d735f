"""A quote service's use cases at hand for tests, on a database of their own, and the invariant they are held to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import DomainError
from poolkit.ids import event_id, new_id
from poolkit.kafka import TRADE_TERMINAL
from quote.app.apply_terminal_events import apply_terminal_events
from quote.app.consume_quotes import consume_quotes
from quote.app.create_quotes import PlacedOrder, create_quotes
from quote.app.give_back_quotes import give_back_quotes
from quote.app.move_treasury import move_treasury
from quote.app.publish_rates import PublishedRate, publish_rates
from quote.app.read_quotes import NamedQuote, get_quotes
from quote.app.reject_quotes import reject_quotes
from quote.app.sweep_quotes import sweep_quotes
from quote.domain.inventory import Ending, Inventory
from quote.domain.orders import Order
from quote.domain.pools import Side
from quote.domain.quotes import Quote, UnavailableQuote
from quote.outbound.events import TreasuryEvents
from quote.store.consumptions import Attempt
from quote.store.inventory import list_inventory
from quote.store.terminal_events import TerminalEvent
from quote.store.treasury import Movement

TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00"
RATE = Decimal("1.085000")
ORGANIZATION = "org_1"
POOL = "EUR-USDT"

_SUMS = """
SELECT i.pool_id, i.currency, i.total, i.held, i.committed, i.owed,
  (SELECT coalesce(sum(h.amount), 0) FROM quote_holds h
   WHERE h.pool_id = i.pool_id AND h.currency = i.currency) AS holds,
  (SELECT coalesce(sum(CASE q.side WHEN 'on_ramp' THEN q.crypto_amount ELSE q.fiat_amount END), 0)
   FROM consumptions c JOIN quotes q USING (quote_id)
   WHERE c.outcome = 'consumed' AND q.pool_id = i.pool_id
     AND i.currency = CASE q.side WHEN 'on_ramp' THEN q.crypto_currency ELSE q.fiat_currency END
     AND NOT EXISTS (SELECT FROM terminal_events e WHERE e.trade_id = c.trade_id AND e.number = 1)) AS consumed,
  (SELECT coalesce(sum(m.amount), 0) FROM treasury_movements m
   WHERE m.pool_id = i.pool_id AND m.currency = i.currency)
  + (SELECT coalesce(sum(CASE WHEN i.currency = p.crypto_currency THEN e.crypto_total ELSE e.fiat_total END), 0)
     FROM terminal_events e JOIN pools p USING (pool_id) WHERE e.pool_id = i.pool_id) AS came_in,
  (SELECT coalesce(sum(d.amount), 0) FROM inventory_days d
   WHERE d.pool_id = i.pool_id AND d.currency = i.currency) AS of_all_days
FROM inventory i ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Consumed:
    """A quote that a trade has taken."""

    trade_id: str
    quote: Quote


class Desk:
    """The use cases, with arguments filled in that a test does not care for."""

    def __init__(self, url: str, database: Database, admin: Database) -> None:
        self.url = url
        self.database = database
        self.admin = admin
        self._movements = count(1)
        self._offsets = count(17)

    def context(self, organization_id: str = ORGANIZATION, request_id: str = "req_1") -> CallContext:
        return CallContext(request_id, organization_id, "test", TRACEPARENT)

    def order(self, amount: str = "100.00", currency: str = "EUR", **changes: Any) -> Order:
        side = changes.get("side", Side.ON_RAMP)
        fields: dict[str, Any] = {
            "pool_id": POOL,
            "side": side,
            "amount": amount,
            "currency": currency,
            "network": "tron",
            "destination_address": "TQabcdefgh0001" if side is Side.ON_RAMP else "",
            "client_reference": "order_1",
            "tier": "standard",
            "firm": True,
        }
        return Order(**(fields | changes))

    async def publish(self, pool_id: str = POOL, rate: Decimal = RATE) -> None:
        assert await publish_rates(
            self.database, [PublishedRate(pool_id, rate, datetime.now(UTC))], traceparent=TRACEPARENT
        )

    async def move(
        self, amount: str, currency: str = "USDT", pool_id: str = POOL, movement_id: str = ""
    ) -> Inventory | DomainError:
        movement = Movement(
            self.context("treasury"), movement_id or f"move_{next(self._movements)}", pool_id, currency, Decimal(amount)
        )
        [answer] = await move_treasury(self.database, [movement], encode=TreasuryEvents("test"))
        return answer

    async def open(self, crypto: str = "100000", fiat: str = "100000") -> None:
        """A fresh rate and inventory."""
        await self.publish()
        for amount, currency in ((crypto, "USDT"), (fiat, "EUR")):
            if Decimal(amount):
                assert isinstance(await self.move(amount, currency), Inventory)

    async def place(
        self, orders: Sequence[Order], organization_id: str = ORGANIZATION
    ) -> list[Quote | UnavailableQuote | DomainError]:
        placed = [PlacedOrder(self.context(organization_id), order) for order in orders]
        return await create_quotes(self.database, placed, mode="test")

    async def quote(
        self, amount: str = "100.00", currency: str = "EUR", organization_id: str = ORGANIZATION, **changes: Any
    ) -> Quote:
        [answer] = await self.place([self.order(amount, currency, **changes)], organization_id)
        assert isinstance(answer, Quote), answer
        return answer

    def attempt(self, quote: Quote | str, trade_id: str = "", **changes: Any) -> Attempt:
        organization_id = quote.organization_id if isinstance(quote, Quote) else ORGANIZATION
        fields: dict[str, Any] = {
            "context": self.context(organization_id),
            "trade_id": trade_id or new_id("pt", "test"),
            "quote_id": quote.quote_id if isinstance(quote, Quote) else quote,
            "pool_id": quote.pool_id if isinstance(quote, Quote) else POOL,
            "off_ramp_enabled": True,
        }
        return Attempt(**(fields | changes))

    async def consume(self, *attempts: Attempt) -> list[Quote | DomainError]:
        return await consume_quotes(self.database, attempts)

    async def consumed(self, amount: str = "100.00", currency: str = "EUR", **changes: Any) -> Consumed:
        quote = await self.quote(amount, currency, **changes)
        attempt = self.attempt(quote)
        [answer] = await self.consume(attempt)
        assert isinstance(answer, Quote), answer
        return Consumed(attempt.trade_id, answer)

    async def give_back(self, *attempts: Attempt) -> list[bool]:
        answers = await give_back_quotes(self.database, attempts)
        assert all(isinstance(answer, bool) for answer in answers), answers
        return [answer is True for answer in answers]

    async def reject(self, quote: Quote, organization_id: str = "") -> Quote | DomainError:
        named = NamedQuote(self.context(organization_id or quote.organization_id), quote.quote_id)
        [answer] = await reject_quotes(self.database, [named])
        return answer

    async def read(self, quote: Quote, organization_id: str = "") -> Quote | DomainError:
        named = NamedQuote(self.context(organization_id or quote.organization_id), quote.quote_id)
        [answer] = await get_quotes(self.database, [named])
        return answer

    def event(self, trade_id: str, ending: Ending, business_date: date = date(2026, 11, 22)) -> TerminalEvent:
        return TerminalEvent(
            event_id=event_id(trade_id, f"pool.transaction.{ending}"),
            trade_id=trade_id,
            ending=ending,
            business_date=business_date,
            source=f"{TRADE_TERMINAL}/3/{next(self._offsets)}",
            request_id="req_1",
            traceparent=TRACEPARENT,
        )

    async def end(self, trade_id: str, *endings: Ending) -> None:
        await apply_terminal_events(self.database, [self.event(trade_id, ending) for ending in endings])

    async def sweep(self) -> int:
        return await sweep_quotes(self.database)

    async def expire(self, *quotes: Quote) -> None:
        """Lets the time of these quotes run out, as waiting would."""
        ids = [quote.quote_id for quote in quotes]
        for table in ("quotes", "quote_holds"):
            await self.admin.execute(
                f"UPDATE {table} SET expires_at = clock_timestamp() WHERE quote_id = ANY($1::text[])", ids
            )

    async def set_pool(self, **columns: int) -> None:
        for column, value in columns.items():
            await self.admin.execute(f"UPDATE pools SET {column} = $1", value)

    async def stock(self, currency: str = "USDT", pool_id: str = POOL) -> Inventory:
        rows = await list_inventory(self.database, after=("", ""), limit=100)
        [row] = [row for row in rows if (row.pool_id, row.currency) == (pool_id, currency)]
        return row

    async def amounts(self, currency: str = "USDT", pool_id: str = POOL) -> tuple[Decimal, Decimal, Decimal]:
        """Total, held and committed."""
        row = await self.stock(currency, pool_id)
        return row.total, row.held, row.committed

    async def assert_adds_up(self) -> None:
        """Held is what open quotes hold, committed what unfinished trades took, total what came in and stayed."""
        for row in await self.admin.fetch(_SUMS):
            assert row["held"] == row["holds"], dict(row)
            assert row["committed"] == row["consumed"], dict(row)
            assert row["total"] - row["owed"] == row["came_in"] == row["of_all_days"], dict(row)
            assert row["held"] + row["committed"] <= row["total"], dict(row)
