"""Kills each service with -9 in the middle of a trade: what spans tell no more rows do, and no edge is missing.

Source: architecture section 3.5. Spans that were open die with a process; each row keeps the trace and span id of what
wrote it, so the causal tree of the request holds together all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from ledger.app import apply_events
from poolctl.commands.journey import find_journey
from poolctl.failure import CommandFailure
from poolctl.receiver import WebhookReceiver
from poolctl.session import Session
from poolctl.tracing import edges
from poolctl.tracing.collect import read_request
from poolctl.tracing.gaps import gaps, rows_of, strays
from poolkit import inbox, relay
from pools.gateway.v1 import admin_pb2
from quote.app import apply_terminal_events, consume_quotes
from tests.chaos.conftest import POOL, Customer, Town
from tests.waiting import eventually
from trade.app import steps as trade_steps
from webhook_ingest.app import steps as webhook_steps

pytestmark = pytest.mark.long

SETTLES = "TQchaoschaoschaoschaoschaosch0001"
DEATHS = [
    ("trade", trade_steps.AFTER_CONSUME),
    ("trade", trade_steps.AFTER_HOLD),
    ("trade", trade_steps.AFTER_RESERVE),
    ("trade", relay.SENT),
    ("trade", trade_steps.AFTER_REPORT),
    ("quote", consume_quotes.AFTER_CONSUMING),
    ("quote", apply_terminal_events.AFTER_APPLYING),
    ("ledger", apply_events.WRITTEN),
    ("ledger", apply_events.COMMITTED),
    ("webhook-ingest", webhook_steps.AFTER_STORE),
    ("webhook-ingest", webhook_steps.AFTER_REPORT),
    ("gateway", inbox.APPLIED),
]
"""Each service, at what it had just done."""


WANTED = (*edges.RESERVED, *edges.SETTLED)


@dataclass(frozen=True, slots=True)
class Watched:
    """A customer who is told of its trades, and who asks until it has an answer."""

    town: Town
    customer: Customer
    receiver: WebhookReceiver

    async def transact(self, quote_id: str) -> dict[str, Any]:
        """The trade, as a partner's server gets it that repeats its call while nobody answers."""

        async def answered() -> dict[str, Any] | None:
            with contextlib.suppress(CommandFailure):
                return await self.customer.api.transact(POOL, quote_id, idempotency_key=quote_id)
            return None

        trade: dict[str, Any] = await eventually(answered, "transact answers", seconds=60, every_seconds=0.2)
        return trade

    async def expect_every_edge(self, trade: dict[str, Any], killed: str) -> None:
        """Of the request that reserved the trade: from the call to the webhook, told by spans or else by rows."""
        await self.receiver.event_of(trade["transactId"], seconds=60)
        request_id = trade["requestId"]
        spans_directory = self.town.stack.layout.spans
        async with Session(self.town.addresses) as session:

            async def told() -> bool:
                spans = await asyncio.to_thread(read_request, spans_directory, request_id)
                rows = rows_of((await find_journey(session, request_id))["records"])
                missing = gaps(WANTED, spans, rows, killed={killed})
                assert [str(edge) for edge in missing] == []
                own = {span.trace_id for span in spans if span.request_id == request_id and span.name in _ITEMS}
                assert len(own) == 1, "what was done for the request is in one trace"
                assert [row for row in rows if row.kind in _OF_THE_TRADE and row.key[0] not in own] == []
                # A try that its process did not live to end has neither span nor row; what it caused has its trace.
                lost = {(span.service, span.name) for span in strays(spans, rows) if span.trace_id in own}
                assert lost <= {
                    (edge.effect.service, name)
                    for edge in WANTED
                    for name in edge.effect.spans
                    if edge.by == "parent" and edge.cause.service == killed
                }
                return True

            await eventually(told, "every edge is told", seconds=40, every_seconds=0.5)


_ITEMS = {name for edge in edges.RESERVED for name in edge.effect.spans if edge.hop == "item"}
_OF_THE_TRADE = {"intent", "transition", "consumption", "hold", "entry", "delivery", "webhook_in", "attempt", "event"}


@pytest.fixture
async def watched(town: Town) -> AsyncIterator[Watched]:
    """A new customer with an endpoint."""
    customer = await town.customer(funds="100.00")
    async with WebhookReceiver() as receiver, Session(town.addresses) as session:
        made = await session.gateway.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(
                organization_id=customer.organization_id, url=receiver.url(customer.organization_id)
            )
        )
        receiver.trust(customer.organization_id, made.secret)
        yield Watched(town, customer, receiver)


@pytest.mark.parametrize(("service", "point"), DEATHS)
async def test_a_killed_service_leaves_no_edge_untold(town: Town, watched: Watched, service: str, point: str) -> None:
    quote_id = await watched.customer.quote(SETTLES)
    await town.stack.stop_part(service)
    await town.stack.start_part(service, {"POOLS_CRASHPOINT": point})
    process = town.stack.part(service).process
    calling = asyncio.create_task(watched.transact(quote_id))
    await eventually(lambda: not process.running, f"{service} dies at {point}", seconds=60)
    assert process.exit_code == -signal.SIGKILL
    await town.stack.start_part(service)
    await watched.expect_every_edge(await calling, service)


async def test_a_gateway_that_dies_before_it_answers_leaves_what_it_asked_for_in_one_trace(
    town: Town, watched: Watched
) -> None:
    quote_id = await watched.customer.quote(SETTLES)
    quote = town.stack.part("quote").process
    quote.send(signal.SIGSTOP)
    try:
        calling = asyncio.create_task(watched.transact(quote_id))
        query = "SELECT count(*) FROM intents WHERE quote_id = $1"
        begun = lambda: town.value("trade", query, quote_id)  # noqa: E731 - asked until it is true
        await eventually(begun, "trade has begun", seconds=20)
        await town.stack.kill_part("gateway")
    finally:
        quote.send(signal.SIGCONT)
    await town.stack.start_part("gateway")
    trade = await calling
    assert trade["status"] == "reserved"
    await watched.expect_every_edge(trade, "gateway")
