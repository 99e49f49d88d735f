"""A ledger's use cases at hand for tests, on a database of their own, and the invariants they are held to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from ledger.api.decode import decoder
from ledger.api.event_handler import EventHandler
from ledger.app.account_directory import AccountDirectory
from ledger.app.apply_events import ApplyEvents
from ledger.app.place_holds import PlaceHolds
from ledger.app.read_books import get_balances
from ledger.app.void_holds import void_all
from ledger.domain.amounts import minor_units
from ledger.domain.holds import Answer, HoldRequest
from ledger.store.books import Balance
from ledger.store.holds import Tombstone
from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.inbox import ReceivedEvent
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.events import UNSAMPLED

_PARTNERS_OFF = """
SELECT a.name, a.balance, a.held FROM accounts a
WHERE a.balance <> (SELECT coalesce(sum(e.amount), 0) FROM entries e WHERE e.account_id = a.id)
   OR a.entry_count <> (SELECT count(*) FROM entries e WHERE e.account_id = a.id)
   OR a.held <> (SELECT coalesce(sum(h.amount), 0) FROM holds h WHERE h.account_id = a.id AND h.state = 'open')
   OR a.open_holds <> (SELECT count(*) FROM holds h WHERE h.account_id = a.id AND h.state = 'open')
"""
_UNBALANCED = """
SELECT a.currency, sum(e.amount) FROM entries e JOIN accounts a ON a.id = e.account_id
GROUP BY e.transaction_number, a.currency HAVING sum(e.amount) <> 0
"""
_RUNNING = """
SELECT e.balance_after, sum(e.amount) OVER (PARTITION BY e.account_id ORDER BY e.sequence) AS balance
FROM entries e WHERE e.balance_after IS NOT NULL
"""
_CHAINS = """
SELECT t.organization_id, array_agg(t.sequence ORDER BY t.sequence) AS sequences,
       (array_agg(t.link ORDER BY t.sequence DESC))[1] AS link, h.sequence AS head, h.link AS head_link
FROM transactions t JOIN chain_heads h USING (organization_id)
GROUP BY t.organization_id, h.sequence, h.link
"""


class Books:
    """One replica of the ledger. `admin` sees and may do everything in the same database."""

    def __init__(self, database: Database, admin: Database, url: str = "") -> None:
        self.url = url
        self.database = database
        self.admin = admin
        self.directory = AccountDirectory(database)
        self.decode = decoder("test")
        self.apply_events = ApplyEvents(database, self.directory, self.decode)
        self.handle = EventHandler(database, self.apply_events, self.decode)
        self._place_holds = PlaceHolds(database, self.directory)

    async def apply(self, *events: ReceivedEvent) -> None:
        """Handle the events as one batch."""
        await self.handle(list(events))

    async def place(self, *requests: HoldRequest) -> list[Answer]:
        """Ask for holds, as one batch."""
        return await self._place_holds(requests)

    async def hold(self, organization_id: str, trade_id: str, amount: str = "100.00", *, gated: bool = True) -> Answer:
        """Ask for one hold."""
        [answer] = await self.place(hold_request(organization_id, trade_id, amount, gated=gated))
        return answer

    async def void(self, organization_id: str, *trade_ids: str) -> list[bool]:
        """Void holds, as one batch."""
        return await void_all(
            self.database, [Tombstone(trade_id, organization_id, "req_void", UNSAMPLED) for trade_id in trade_ids]
        )

    async def balance(self, organization_id: str, currency: str = "EUR") -> Balance:
        """What a partner has."""
        [balance] = await get_balances(self.database, [(organization_id, currency)])
        return balance

    async def reasons(self, organization_id: str) -> list[str]:
        """The reasons in an organization's chain, in order."""
        rows = await self.admin.fetch(
            "SELECT reason FROM transactions WHERE organization_id = $1 ORDER BY sequence", organization_id
        )
        return [row["reason"] for row in rows]

    async def entries(self, event_id: str) -> list[tuple[str, Decimal]]:
        """The legs an event posted, as account kind and amount."""
        rows = await self.admin.fetch("SELECT kind, amount FROM journal WHERE event_id = $1 ORDER BY id", event_id)
        return [(row["kind"], row["amount"]) for row in rows]

    async def count(self, table: str, where: str = "true") -> int:
        """How many rows there are."""
        counted: int = await self.admin.fetch_value(f"SELECT count(*) FROM {table} WHERE {where}")
        return counted

    async def exceptions(self) -> list[str]:
        """The kinds of exceptions noted."""
        return [row["kind"] for row in await self.admin.fetch("SELECT kind FROM exceptions ORDER BY id")]

    async def assert_adds_up(self) -> None:
        """What holds at every moment, whatever happened."""
        assert await self.admin.fetch(_PARTNERS_OFF) == []
        assert await self.admin.fetch(_UNBALANCED) == []
        sums = await self.admin.fetch("SELECT currency, sum(balance) FROM accounts GROUP BY currency")
        assert not any(row["sum"] for row in sums)
        for row in await self.admin.fetch(_RUNNING):
            assert row["balance_after"] == row["balance"]
        for row in await self.admin.fetch(_CHAINS):
            assert row["sequences"] == list(range(1, row["head"] + 1))
            assert row["link"] == row["head_link"]


@asynccontextmanager
async def open_books(postgres: RunningPostgres) -> AsyncIterator[Books]:
    """An empty ledger of one's own."""
    url = await postgres.fresh_database("ledger")
    database = Database(url, application_name="tested", pool_size=16)
    admin = Database(postgres.admin_url(url), application_name="test", pool_size=2)
    try:
        yield Books(database, admin, url)
    finally:
        await database.close()
        await admin.close()


def hold_request(
    organization_id: str, trade_id: str, amount: str = "100.00", *, gated: bool = True, currency: str = "EUR"
) -> HoldRequest:
    """A hold as the trade service asks for it."""
    return HoldRequest(
        trade_id,
        organization_id,
        currency,
        minor_units(amount, currency),
        gated,
        trade_id.replace("pt_", "pq_"),
        "req_hold",
        "mobile_checkout_123",
        UNSAMPLED,
    )


def new_trade() -> str:
    """A trade id nobody has used."""
    return new_id("pt", "test")


async def snapshot(database: Database) -> dict[str, Sequence[Any]]:
    """All that follows from the events: what a rebuilt ledger must have, to the last byte, in every row's order."""
    queries = {
        "transactions": """
            SELECT id, organization_id, sequence, reason, content_hash, link, business_date, event_id, request_id,
                   trade_id, quote_id, client_reference, traceparent FROM transactions ORDER BY number""",
        "entries": """
            SELECT journal.*, balance_after::text, amount::text FROM (
                SELECT t.id, e.leg, a.name, e.amount, e.balance_after, e.sequence FROM entries e
                JOIN transactions t ON t.number = e.transaction_number JOIN accounts a ON a.id = e.account_id
                ORDER BY t.number, e.leg) AS journal""",
        "balances": """
            SELECT name, balance::text, entry_count FROM accounts WHERE entry_count > 0 ORDER BY name""",
        "chain_heads": "SELECT organization_id, sequence, link FROM chain_heads WHERE sequence > 0 ORDER BY 1",
        "inbox": "SELECT event_id, payload FROM inbox WHERE state = 'applied' ORDER BY sequence",
    }
    return {name: [tuple(row) for row in await database.fetch(query)] for name, query in queries.items()}
