"""A running webhook-ingest as its senders and operators see it, and the services behind it, all in this process."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from multidict import CIMultiDict

from poolkit.database import Database, Record
from poolkit.ids import new_id
from poolkit.runtime import Runtime
from poolkit.security import new_encryption_key, new_webhook_secret, sign_standard
from pools.events.v1.events_pb2 import TradeTerminal
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from pools_contracts.webhook_ingest import WebhookIngestClient
from pools_contracts.webhook_ingest import connect as connect_webhook_ingest
from tests.integration.trade.reserved import reserve_trades
from tests.unit.trade.builders import trade
from tests.waiting import eventually
from trade.domain.trade import Status, Trade
from trade.main import build as build_trade
from trade.settings import TradeSettings
from webhook_ingest.main import build
from webhook_ingest.settings import WebhookIngestSettings

NOWHERE = "127.0.0.1:1"
"""An address where nobody listens."""
SETTLEMENT = "acme-settlement"
BANK = "acme-bank"
OCCURRED = "2026-11-22T10:00:00Z"


@dataclass(frozen=True)
class Answer:
    """What the door answered."""

    status: int
    body: dict[str, Any]
    headers: CIMultiDict[str]

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))


def settled(trade_id: str, **changed: Any) -> dict[str, Any]:
    """A report of the contract's example, with what is changed; None leaves a field out."""
    body = {
        "eventId": new_id("evt"),
        "kind": "trade.settled",
        "transactId": trade_id,
        "networkTransactionId": "0xabc",
        "cryptoCurrency": "USDT",
        "cryptoAmount": "107.904009",
        "occurredAt": OCCURRED,
        **changed,
    }
    return {name: value for name, value in body.items() if value is not None}


def credited(**changed: Any) -> dict[str, Any]:
    """A pay-in of the contract's example, with what is changed."""
    body = {
        "eventId": new_id("evt"),
        "kind": "payin.credited",
        "fundingReference": "NOBODY",
        "bankTransactionId": new_id("evt"),
        "currency": "EUR",
        "amount": "1000.00",
        "occurredAt": OCCURRED,
        **changed,
    }
    return {name: value for name, value in body.items() if value is not None}


@dataclass
class Door:
    """The service, its database, and the means to knock."""

    runtime: Runtime[WebhookIngestSettings]
    database: Database
    client: WebhookIngestClient
    session: aiohttp.ClientSession
    secrets: dict[str, str] = field(default_factory=dict)
    url_override: str = ""
    """Where to knock instead, for a test whose service is another process."""

    @property
    def url(self) -> str:
        return self.url_override or f"http://127.0.0.1:{self.runtime._http_servers[0].port}"

    async def add_source(self, name: str, kinds: Sequence[str] = ()) -> None:
        """Makes a source whose secret the door's owner knows."""
        self.secrets[name] = new_webhook_secret()
        await self.client.admin.CreateSource(
            webhook_ingest_pb2.CreateSourceRequest(name=name, kinds=kinds, secret=self.secrets[name])
        )

    def signed(
        self, body: bytes, *, source: str = SETTLEMENT, secret: str = "", age_seconds: float = 0
    ) -> dict[str, str]:
        """The headers with which the source itself would send this body, `age_seconds` ago."""
        return sign_standard([secret or self.secrets[source]], "msg_1", int(time.time() - age_seconds), body)

    async def post(
        self, event: dict[str, Any] | bytes, *, source: str = SETTLEMENT, headers: Any = None, **more: str
    ) -> Answer:
        """Posts an event, signed unless headers are given; `more` headers come on top."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        sent: CIMultiDict[str] = CIMultiDict(self.signed(body, source=source) if headers is None else headers)
        for name, value in more.items():
            sent.add(name.replace("_", "-"), value)
        async with self.session.post(f"{self.url}/v1/webhooks/{source}", data=body, headers=sent) as response:
            text = await response.read()
            return Answer(response.status, json.loads(text) if text else {}, CIMultiDict(response.headers))

    async def rows(self, sql: str, *args: Any) -> list[Record]:
        return await self.database.fetch(sql, *args)

    async def stored(self, event_id: str) -> list[Record]:
        """The rows of this event, the first first."""
        return await self.rows("SELECT * FROM webhooks WHERE provider_event_id = $1 ORDER BY received_at", event_id)

    async def rejected(self, request_id: str) -> list[Record]:
        """What was refused of this request."""
        return await self.rows("SELECT * FROM rejected_webhooks WHERE request_id = $1", request_id)

    async def webhook(self, webhook_id: str) -> webhook_ingest_pb2.Webhook:
        """As operators see it."""
        listed = await self.client.admin.ListWebhooks(webhook_ingest_pb2.ListWebhooksRequest(page_size=100))
        return next(webhook for webhook in listed.webhooks if webhook.webhook_id == webhook_id)

    async def until_processed(self, webhook_id: str) -> None:
        """Waits for its effect, however many came after it."""

        async def processed() -> bool:
            sql = "SELECT 1 FROM webhook_attempts WHERE webhook_id = $1 AND outcome = 'processed'"
            return bool(await self.rows(sql, webhook_id))

        await eventually(processed, "the webhook is processed")

    async def until_state(self, webhook_id: str, state: "webhook_ingest_pb2.WebhookState.ValueType") -> Any:
        """The webhook, once it is in this state."""

        async def reached() -> Any:
            webhook = await self.webhook(webhook_id)
            return webhook if webhook.state == state else None

        return await eventually(reached, "reached")


async def open_door(url: str, session: aiohttp.ClientSession, **settings: Any) -> Door:
    """Starts the service on a migrated database, with the two sources."""
    runtime = Runtime("webhook-ingest", door_settings(url, **settings))
    await runtime.start(build)
    client = connect_webhook_ingest(f"127.0.0.1:{runtime.rpc.port}")
    return Door(runtime, Database(url, application_name="test"), client, session)


def door_settings(url: str, **changed: Any) -> WebhookIngestSettings:
    """Settings that retry as fast as a test wants."""
    return WebhookIngestSettings(
        **{
            "mode": "test",
            "database_url": url,
            "kafka_bootstrap": NOWHERE,
            "encryption_key": new_encryption_key(),
            "trade_address": NOWHERE,
            "ledger_address": NOWHERE,
            "retry_seconds_min": 0.05,
            "retry_seconds_max": 0.1,
            "drain_seconds": 2.0,
            **changed,
        }
    )


async def close_door(door: Door) -> None:
    """Stops the service as SIGTERM would."""
    await door.client.close()
    await door.runtime.stop()
    await door.database.close()


class TradeDesk:
    """The real trade service, with reserved trades on demand."""

    def __init__(self, runtime: Runtime[TradeSettings], database: Database) -> None:
        self.runtime = runtime
        self.database = database

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.runtime.rpc.port}"

    async def reserve(self, trade_id: str = "", **changed: Any) -> Trade:
        """A reserved trade, written as the saga writes it."""
        made = replace(trade(), trade_id=trade_id or new_id("pt", "test"), quote_id=new_id("pq", "test"), **changed)
        [reserved] = await reserve_trades(self.database, [made])
        return reserved

    async def status(self, trade_id: str) -> str:
        return str(await self.database.fetch_value("SELECT status FROM trades WHERE trade_id = $1", trade_id))

    async def until_status(self, trade_id: str, status: Status) -> None:
        async def reached() -> bool:
            return await self.status(trade_id) == status

        await eventually(reached, "reached")

    async def told(self, trade_id: str) -> list[str]:
        """What it has told of the trade, in order."""
        query = "SELECT type, payload FROM outbox WHERE topic = 'pools.trade.terminal.v1' ORDER BY sequence"
        rows = await self.database.fetch(query)
        events = [(row["type"], TradeTerminal.FromString(row["payload"])) for row in rows]
        return [kind.removeprefix("pool.transaction.") for kind, event in events if event.trade.transact_id == trade_id]


async def open_trade_desk(url: str, listen: str = "127.0.0.1:0") -> TradeDesk:
    """Starts the trade service; nobody is behind it, for reports need nobody."""
    settings = TradeSettings(
        mode="test",
        database_url=url,  # type: ignore[arg-type]
        kafka_bootstrap=NOWHERE,
        grpc_listen=listen,
        quote_address=NOWHERE,
        ledger_address=NOWHERE,
        drain_seconds=1.0,
    )
    runtime = Runtime("trade", settings)
    await runtime.start(build_trade)
    return TradeDesk(runtime, Database(url, application_name="test"))


async def close_trade_desk(desk: TradeDesk) -> None:
    await desk.runtime.stop()
    await desk.database.close()
