"""The real stack as a sequence of calls meets it: partners over both edges, a provider of their own, and the books."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx

from gateway.domain.views import quote_view, trade_view
from poolctl.payin import pay_in
from poolctl.session import Session
from poolkit.errors import DeadlineExceeded, Unavailable
from poolkit.rpc.channels import open_channel
from poolkit.security import sign_standard
from pools.gateway.v1 import admin_pb2
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from pools_contracts.gateway import GatewayClient
from tests.e2e.databases import Databases
from tests.e2e.model import Model, Quote
from tests.e2e.partners import Partner, PartnerFactory
from tests.integration.gateway.calls import Answer, Caller
from tests.waiting import eventually

POOL, CURRENCY, CRYPTO = "GBP-USDT", "GBP", "USDT"
"""No other test trades in this pool, so that its inventory is this one's to the digit."""
SHORT_LIVED = "USD-USDT"
"""A pool whose quotes have expired by the time anyone can use them."""
STUCK = "TAnyOrderAnyOrderAnyOrderAnyOrder0005"
SALE: dict[str, Any] = {"side": "off_ramp", "amountCurrency": CRYPTO, "destinationAddress": None}

UNDECIDED = {"idempotency_in_progress", "rate_limited"}
UNKNOWN = {"unavailable", "deadline_exceeded", "overloaded"}


@dataclass(frozen=True, slots=True)
class Told:
    """An answer at last, and whether it is the first that could have had an effect."""

    answer: Answer
    first: bool

    @property
    def code(self) -> str:
        return self.answer.code


async def told(call: Callable[[], Awaitable[Answer]]) -> Told:
    """Asks until the answer is known, as a partner does: the same again after a 503, or while the first still runs."""
    unknown = False

    async def known() -> Answer | None:
        nonlocal unknown
        answer = await call()
        unknown |= answer.code in UNKNOWN
        return None if answer.code in UNDECIDED | UNKNOWN else answer

    return Told(await eventually(known, "the outcome is known"), first=not unknown)


@dataclass(slots=True)
class Actor:
    """A partner, callable over either edge."""

    partner: Partner
    callers: dict[str, Caller]


@dataclass(slots=True)
class World:
    """What rules act on."""

    session: Session
    partners: PartnerFactory
    databases: Databases
    quote_database: asyncpg.Connection
    http: httpx.AsyncClient
    gateway: GatewayClient
    source: str = ""
    secret: str = ""
    posted: dict[str, bytes] = field(default_factory=dict)
    """Reports by event id, to be posted again."""

    async def prepare(self) -> None:
        """Pools whose quotes live as long as a test needs, and a provider that the sandbox knows nothing of."""
        for pool_id, ttl_ms in ((POOL, 600_000), (SHORT_LIVED, 1)):
            await self.quote_database.execute("UPDATE pools SET quote_ttl_ms = $1 WHERE pool_id = $2", ttl_ms, pool_id)
        self.source = f"any-order-{uuid.uuid4().hex[:8]}"
        made = await self.session.webhook_ingest.admin.CreateSource(
            webhook_ingest_pb2.CreateSourceRequest(name=self.source)
        )
        self.secret = made.secret

    async def actor(self, funds: Decimal) -> Actor:
        """A partner with some money."""

        async def made() -> Partner | None:
            # Whoever was half made when a crowded machine took too long is nobody's: another one is made.
            with contextlib.suppress(DeadlineExceeded, Unavailable):
                return await self.partners(paid_in=str(funds), currency=CURRENCY, endpoint=False)
            return None

        partner = await eventually(made, "a partner is made", seconds=60)
        doors: Any = SimpleNamespace(rest=self.session.addresses.rest, partner=self.gateway)
        return Actor(partner, {edge: Caller(doors, self.http, edge, partner.secret_key) for edge in ("rest", "grpc")})

    async def pay_in(self, actor: Actor, amount: Decimal) -> None:
        """Money from the bank."""
        await pay_in(self.session, actor.partner.organization_id, currency=CURRENCY, amount=str(amount))

    async def entitle(self, actor: Actor, edge: str, *, may_sell: bool) -> None:
        """Lets a partner sell, or no longer, and waits until that is in force."""
        await self.session.gateway.admin.UpdateEntitlement(
            admin_pb2.UpdateEntitlementRequest(organization_id=actor.partner.organization_id, off_ramp_enabled=may_sell)
        )

        async def in_force() -> bool:
            asked = await told(lambda: actor.callers[edge].create_quote(POOL, **SALE, amount="5", type="indicative"))
            return asked.code == ("ok" if may_sell else "off_ramp_not_enabled")

        await eventually(in_force, "the entitlement is in force")

    async def quote(self, actor: Actor, edge: str, pool_id: str, fiat: Decimal) -> dict[str, Any]:
        """A firm quote as JSON, whichever way it came."""
        order = {"amount": str(fiat), "amountCurrency": pool_id.partition("-")[0], "destinationAddress": STUCK}
        quote = await self._ask(actor, edge, pool_id, order)
        assert isinstance(quote, dict), quote
        return quote

    async def sale(self, actor: Actor, edge: str, crypto: Decimal) -> dict[str, Any] | str:
        """A firm quote of a sale, or the refusal's code."""
        return await self._ask(actor, edge, POOL, {**SALE, "amount": str(crypto)})

    async def _ask(self, actor: Actor, edge: str, pool_id: str, order: dict[str, Any]) -> dict[str, Any] | str:

        async def given() -> Told | None:
            asked = await told(
                lambda: actor.callers[edge].create_quote(pool_id, **order, clientReference="any order 0005")
            )
            # Out of reach for a moment: no price is an answer, too.
            return asked if asked.code != "ok" or _json(asked.answer, "quote", quote_view)["quoteId"] else None

        asked = await eventually(given, "a quote is given")
        return _json(asked.answer, "quote", quote_view) if asked.code == "ok" else asked.code

    async def status_of_quote(self, actor: Actor, edge: str, quote_id: str) -> str:
        """Its derived status, or the refusal."""
        answer = (await told(lambda: actor.callers[edge].get_quote(quote_id))).answer
        return str(_json(answer, "quote", quote_view)["status"]) if answer.code == "ok" else answer.code

    async def poll(self, actor: Actor, edge: str, quote_id: str) -> str:
        """The status of a quote's trade, or the refusal."""
        answer = (await told(lambda: actor.callers[edge].get_transaction(quote_id))).answer
        return str(trade_of(answer)["status"]) if answer.code == "ok" else answer.code

    async def expire(self, quote_id: str) -> None:
        """Lets the time of a quote run out, as waiting would."""
        await self._expire("quote_id = $1", quote_id)

    async def expire_all(self) -> None:
        """Lets the time of every quote in the pool run out."""
        await self._expire("pool_id = $1 AND expires_at > clock_timestamp()", POOL)

    async def _expire(self, which: str, subject: str) -> None:
        for table in ("quotes", "quote_holds"):
            statement = f"UPDATE {table} SET expires_at = clock_timestamp() WHERE {which}"
            await self.quote_database.execute(statement, subject)

    async def report(self, quote: Quote, status: str, *, exact: bool) -> str:
        """A signed webhook about the quote's trade, once it is processed: what it did."""
        assert quote.trade is not None
        event_id = f"evt-{uuid.uuid4().hex}"
        event = {
            "eventId": event_id,
            "kind": f"trade.{status}",
            "transactId": quote.trade.trade_id,
            "occurredAt": datetime.now(UTC).isoformat(),
        }
        if status == "settled":
            event |= {"networkTransactionId": f"0x{event_id}", "cryptoCurrency": CRYPTO}
            event["cryptoAmount"] = str(quote.crypto if exact else quote.crypto + Decimal("0.000001"))
        self.posted[event_id] = json.dumps(event).encode()
        received = await self.post(event_id)
        assert received["duplicate"] is False, received
        query = "SELECT outcome, effect FROM webhook_attempts WHERE webhook_id = $1 AND outcome <> 'retry'"

        async def processed() -> dict[str, Any] | None:
            rows = await self.databases.rows("webhook-ingest", query, received["webhookId"])
            return rows[0] if rows else None

        ended = await eventually(processed, "the report is processed")
        return "refused" if ended["outcome"] == "exception" else str(ended["effect"])

    async def post(self, event_id: str) -> dict[str, Any]:
        """Posts a report, again if it was posted before, signed anew."""
        body = self.posted[event_id]
        headers = sign_standard([self.secret], event_id, int(time.time()), body)
        url = f"{self.session.addresses.webhooks}/v1/webhooks/{self.source}"
        response = await self.http.post(url, content=body, headers=headers)
        assert response.status_code == 200, response.text
        received: dict[str, Any] = response.json()
        return received

    async def check_account(self, model: Model, organization: int, actor: Actor, edge: str) -> None:
        """The partner's account agrees with the model to the digit, as soon as the ledger has heard of everything."""
        expected = [
            (entry.reason, str(entry.delta), str(entry.balance_after), _trade_id(model, entry.trade_of))
            for entry in reversed(model.entries[organization])
        ]

        async def agrees() -> bool:
            entries: list[Any] = []
            cursor, available = "", ""
            while True:
                answer = await actor.callers[edge].ledger(CURRENCY, limit=3, cursor=cursor)
                assert answer.code == "ok", answer
                body = answer.body
                if edge == "rest":
                    entries += [tuple(row[name] for name in _ENTRY) for row in body["entries"]]
                    available, cursor = body["available"], body["nextCursor"] or ""
                else:
                    entries += [
                        (row.reason, row.delta.amount, row.balance_after.amount, row.transact_id or None)
                        for row in body.entries
                    ]
                    available, cursor = body.available.amount, body.next_page_token
                if not cursor:
                    break
            known, told_us = (str(model.available(organization)), expected), (available, entries)
            assert told_us == known, f"{told_us} is not {known}"
            return True

        await eventually(agrees, f"the account of organization {organization} agrees")

    async def inventory(self) -> dict[tuple[str, str], Decimal]:
        """By currency, the pool's total less what the treasury moved and what is owed, held and committed."""
        query = """
            SELECT currency, total - owed - (SELECT coalesce(sum(amount), 0) FROM treasury_movements m
                            WHERE m.pool_id = i.pool_id AND m.currency = i.currency) AS total, held, committed
            FROM inventory i WHERE pool_id = $1
        """
        rows = await self.databases.rows("quote", query, POOL)
        return {(row["currency"], name): row[name] for row in rows for name in ("total", "held", "committed")}

    async def idle_inventory(self) -> dict[tuple[str, str], Decimal]:
        """The inventory once nothing is held, where a sequence that was broken off has left quotes."""
        await self.expire_all()

        async def idle() -> dict[tuple[str, str], Decimal] | None:
            inventory = await self.inventory()
            return inventory if not any(inventory[currency, "held"] for currency in (CRYPTO, CURRENCY)) else None

        return await eventually(idle, "nothing is held")


_ENTRY = ("reason", "delta", "balanceAfter", "transactId")


def _trade_id(model: Model, quote_id: str) -> str | None:
    trade = model.quotes[quote_id].trade if quote_id else None
    return trade.trade_id if trade else None


def trade_of(answer: Answer) -> dict[str, Any]:
    """The trade in an answer, as JSON."""
    return _json(answer, "trade", trade_view)


def _json(answer: Answer, field_name: str, view: Callable[[Any], Any]) -> dict[str, Any]:
    if isinstance(answer.body, dict):
        return answer.body
    shown: dict[str, Any] = view(getattr(answer.body, field_name))
    return shown


async def open_world(
    session: Session, partners: PartnerFactory, databases: Databases, http: httpx.AsyncClient
) -> World:
    """A world on a running stack; close its `quote_database` and `gateway` afterwards."""
    world = World(
        session,
        partners,
        databases,
        await asyncpg.connect(session.addresses.admin_databases["quote"]),
        http,
        GatewayClient(open_channel(session.addresses.grpc, "any-order")),
    )
    await world.prepare()
    return world
