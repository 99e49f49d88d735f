"""Webhooks out without the rest of the gateway: a database of its own, an endpoint to post to, and senders."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gateway.app.deliveries import LANES, DeliverySender, receive_terminal_events
from gateway.app.webhook_desk import WebhookDesk
from gateway.domain.deliveries import FAILING_SECONDS_MAX, RetrySchedule, TerminalEvent
from gateway.outbound.webhooks import WebhookPoster
from gateway.store.endpoints import insert_endpoint
from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.ids import event_id, new_id
from poolkit.security import Cipher, new_encryption_key, new_webhook_secret
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.house import TRACEPARENT
from tests.integration.gateway.receiver import Receiver, receiving

SCHEDULE = RetrySchedule((0, 0.05, 0.05), attempts_max=3, jitter=0.1)


class Desk:
    """A database of its own with the use cases on it."""

    def __init__(self, database: Database, stack: AsyncExitStack, receiver: Receiver) -> None:
        self.database = database
        self.receiver = receiver
        self.cipher = Cipher(new_encryption_key())
        self.colleagues = WebhookDesk(database, self.cipher)
        self._stack = stack

    async def sender(
        self,
        lanes: tuple[int, int, int] = LANES,
        schedule: RetrySchedule = SCHEDULE,
        failing_seconds_max: float = FAILING_SECONDS_MAX,
        **poster_options: Any,
    ) -> DeliverySender:
        """A sender at work until the test ends."""
        poster = WebhookPoster(self.cipher, **{"allow_private": True, **poster_options})
        self._stack.push_async_callback(poster.close)
        sender = DeliverySender(self.database, poster, schedule, lanes, failing_seconds_max)
        running = asyncio.create_task(sender.run())

        async def stop() -> None:
            running.cancel()
            await asyncio.wait({running})
            self.receiver.release.set()
            await sender.drain()

        self._stack.push_async_callback(stop)
        return sender

    async def endpoint(self, path: str, organization_id: str) -> str:
        """An endpoint of the organization; its secret."""
        return (await self.endpoint_with_id(path, organization_id))[1]

    async def endpoint_with_id(self, path: str, organization_id: str) -> tuple[str, str]:
        """An endpoint of the organization: its id and its secret."""
        endpoint_id, secret = new_id("whk"), new_webhook_secret()
        await self.database.execute(
            "INSERT INTO organizations (organization_id, name, request_id, traceparent) VALUES ($1, 'x', 'r', 't')"
            " ON CONFLICT DO NOTHING",
            organization_id,
        )
        own = CallContext("req_test", organization_id, "test", TRACEPARENT)
        await insert_endpoint(
            self.database,
            own,
            endpoint_id=endpoint_id,
            url=self.receiver.url + path,
            encrypted_secret=self.cipher.encrypt(secret),
        )
        return endpoint_id, secret

    def event(self, organization_id: str, kind: str = "pool.transaction.settled") -> TerminalEvent:
        """A terminal event of a new trade."""
        trade_id = new_id("pt", "test")
        told = kind != "pool.transaction.returned"
        return TerminalEvent(
            event_id=event_id(trade_id, kind),
            type=kind,
            organization_id=organization_id,
            trade_id=trade_id,
            quote_id="pq_test_1",
            client_reference="",
            request_id="req_test",
            traceparent=TRACEPARENT,
            occurred_microseconds=1,
            body=b'{"eventId":"..."}' if told else b"",
            source="topic/0/1",
        )

    async def receive(self, *events: TerminalEvent) -> None:
        """Stores and queues the events."""
        await receive_terminal_events(self.database, events, SCHEDULE)

    async def ids(self) -> list[str]:
        """The deliveries, oldest first."""
        return [row["delivery_id"] for row in await self.database.fetch("SELECT * FROM deliveries ORDER BY 1")]

    async def states(self) -> list[tuple[str, int]]:
        """Each delivery's state and attempts, oldest first."""
        rows = await self.database.fetch("SELECT state, attempt_count FROM deliveries ORDER BY delivery_id")
        return [(row["state"], row["attempt_count"]) for row in rows]

    def reach(self, *states: tuple[str, int]) -> Callable[[], Awaitable[bool]]:
        """A condition: the deliveries stand so."""

        async def reached() -> bool:
            return await self.states() == list(states)

        return reached


@asynccontextmanager
async def opened_desk(postgres: RunningPostgres) -> AsyncIterator[Desk]:
    """A desk with a database and a receiver of its own."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        database = Database(await postgres.fresh_database("gateway"), application_name="test", pool_size=6)
        stack.push_async_callback(database.close)
        yield Desk(database, stack, receiver)
