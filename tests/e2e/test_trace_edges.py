"""Every edge of the declared list, for every request of a run: each hop, each event, each item of a batch, the webhook.

Source: architecture section 3.5. `tests/chaos/test_trace_edges.py` does the same while processes are killed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from poolctl.commands.journey import find_journey
from poolctl.receiver import WebhookReceiver
from poolctl.session import Session
from poolctl.stack import Stack
from poolctl.tracing import edges
from poolctl.tracing.collect import BATCH_SIZE, key_of, parent_key, read_requests
from poolctl.tracing.edges import Edge
from poolctl.tracing.gaps import gaps, rows_of, strays
from poolkit.telemetry import traceparent as w3c
from poolkit.telemetry.spanstore import StoredSpan
from tests.e2e.databases import Databases
from tests.e2e.partners import POOL, SETTLES, Partner, PartnerFactory
from tests.waiting import eventually

TOGETHER = 5
"""Transacts at once, so that several share a batch."""
STUCK = SETTLES[:-4] + "0005"
_CALLS = "SELECT request_id, operation, outcome, replayed FROM request_log WHERE organization_id = $1"
_PAY_IN = "SELECT w.request_id FROM webhooks w JOIN outbox o ON o.event_id = w.payin_event_id WHERE o.key = $1"


async def test_every_edge_of_every_request_of_a_run_is_told(
    stack: Stack, session: Session, partners: PartnerFactory, receiver: WebhookReceiver, databases: Databases
) -> None:
    partner = await partners()
    settled = await _call_everything(partner)
    webhooks = {request_id: await receiver.event_of(trade_id, seconds=20) for request_id, trade_id in settled.items()}

    async def logged() -> list[Any] | None:
        calls = await databases.rows("gateway", _CALLS, partner.organization_id)
        return calls if {row["operation"] for row in calls} == set(edges.EDGES) else None

    wanted = {
        row["request_id"]: _edges_of(row, settles=row["request_id"] in settled)
        for row in await eventually(logged, "a call of every operation is on record")
    }
    wanted[await databases.value("webhook-ingest", _PAY_IN, partner.organization_id)] = edges.PAID_IN
    rows = {request_id: rows_of((await find_journey(session, request_id))["records"]) for request_id in wanted}

    async def told() -> dict[str, list[StoredSpan]]:
        # A span is kept when it ends, which may be a moment after what it caused is seen.
        found = await asyncio.to_thread(read_requests, stack.layout.spans, list(wanted))
        for request_id, edges_of_it in wanted.items():
            missing = [str(edge) for edge in gaps(edges_of_it, found[request_id], rows[request_id])]
            assert (missing, strays(found[request_id], ())) == ([], []), request_id
        return found

    found = await eventually(told, "every edge is told", seconds=20, every_seconds=0.5)
    declared = {edge for edges_of_it in wanted.values() for edge in edges_of_it}
    assert {tie for spans in found.values() for tie in _ties(spans)} - _ties_of(declared) == set(), "and declared"
    for request_id, webhook in webhooks.items():
        [attempt] = [span for span in found[request_id] if span.name == "webhook attempt"]
        traceparent = webhook.headers["traceparent"]
        assert (w3c.trace_id_of(traceparent), w3c.span_id_of(traceparent)) == (attempt.trace_id, attempt.span_id)
    shared = [
        span for spans in found.values() for span in spans if int(span.attributes.get(BATCH_SIZE, 0)) > 1 and span.links
    ]
    assert "gateway.TransactQuotes" in {span.name for span in shared}, "some transacts came in one batch"
    assert all(len(set(span.links)) == span.attributes[BATCH_SIZE] for span in shared)


Tie = tuple[str, str, str, str, str]


def _ties(spans: list[StoredSpan]) -> set[Tie]:
    """What hangs below what and points at what, by service and name."""
    known = {key_of(span): span for span in spans}
    ties = [(known.get(parent_key(span) or ("", "")), span, "parent") for span in spans]
    ties += [(known.get(link), span, "link") for span in spans for link in span.links]
    return {(cause.service, cause.name, span.service, span.name, by) for cause, span, by in ties if cause}


def _ties_of(declared: set[Edge]) -> set[Tie]:
    return {
        (edge.cause.service, cause, edge.effect.service, effect, edge.by)
        for edge in declared
        for cause in edge.cause.spans
        for effect in edge.effect.spans
    }


def _edges_of(call: dict[str, Any], *, settles: bool) -> tuple[Edge, ...]:
    """What the call must have caused, by how it ended."""
    if call["operation"] == "transact":
        if call["replayed"]:
            return edges.ASKED
        if call["outcome"] == "insufficient_balance":
            return edges.UNDONE
        assert call["outcome"] == "ok"
        return (*edges.RESERVED, *(edges.SETTLED if settles else ()))
    assert call["outcome"] == "ok"
    polled = edges.POLLED if call["operation"] == "get_transaction" else ()
    return (*edges.EDGES[call["operation"]], *polled)


async def _call_everything(partner: Partner) -> dict[str, str]:
    """Every operation, transacts over both edges and together; the settled trades by the request that reserved them."""
    http = partner.rest.http
    quotes = [(await partner.rest.quote(amount="10.00")).json()["quoteId"] for _ in range(TOGETHER)]
    answers = await asyncio.gather(*(partner.rest.transact(quote_id, key=quote_id) for quote_id in quotes))
    settled = {answer.json()["requestId"]: answer.json()["transactId"] for answer in answers}
    replayed = await partner.rest.transact(quotes[0], key=quotes[0])
    assert replayed.headers["Idempotent-Replayed"] == "true"
    over_grpc = await partner.grpc.transact((await partner.grpc.quote()).quote_id)
    settled[over_grpc.request_id] = over_grpc.transact_id
    too_dear = (await partner.rest.quote(amount="5000.00")).json()["quoteId"]
    assert (await partner.rest.transact(too_dear)).status_code == 402
    rejected = (await partner.rest.quote()).json()["quoteId"]
    stuck = await partner.rest.accept(destinationAddress=STUCK, amount="10.00")
    for method, path in (
        ("GET", f"/v1/pools/quotes/{rejected}"),
        ("POST", f"/v1/pools/quotes/{rejected}/reject"),
        ("GET", f"/v1/pools/transactions/{stuck['quoteId']}"),
        ("GET", f"/v1/pools/trades/{stuck['transactId']}"),
        ("GET", "/v1/pools/trades"),
        ("GET", "/v1/pools/ledger?currency=EUR"),
        ("GET", f"/v1/pools/{POOL}/balance"),
        ("GET", f"/v1/pools/{POOL}/capabilities"),
        ("GET", "/v1/pools/funding?currency=EUR"),
        ("GET", "/v1/pools"),
    ):
        answer = await http.request(method, path)
        assert answer.status_code == 200, answer.text
    return settled
