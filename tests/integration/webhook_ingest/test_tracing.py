"""Protects the thread: the sender's trace only when it has signed, and the request of the trade once it is known."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from poolkit.ids import new_id
from poolkit.telemetry.spanstore import read_spans
from poolkit.telemetry.tracing import configure_tracing, shutdown_tracing
from tests.integration.webhook_ingest.door import BANK, Door, TradeDesk, credited, settled

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture
async def spans(tmp_path: Path) -> AsyncIterator[Path]:
    """The directory of recorded spans; no trace is recorded unless it comes recorded."""
    settings = SimpleNamespace(
        mode="test", otlp_endpoint=None, zipkin_endpoint=None, span_directory=tmp_path, trace_samples_per_second_max=0.0
    )
    configure_tracing("webhook-ingest", settings)
    yield tmp_path
    shutdown_tracing()


async def test_the_trace_of_who_signed_goes_through_to_the_trade_under_the_trade_s_request(
    door: Door, desk: TradeDesk, spans: Path
) -> None:
    trade = await desk.reserve(request_id=new_id("req"))
    answer = await door.post(settled(trade.trade_id), traceparent=TRACEPARENT, X_Request_Id="req-of-the-provider")
    await door.until_processed(answer.body["webhookId"])
    recorded = {span.name: span for span in read_spans(spans, trace_id=TRACE_ID)}
    receiving, processing = recorded["webhook-ingest.ReceiveWebhook"], recorded["webhook-ingest.ProcessWebhook"]
    assert (receiving.parent_span_id, receiving.request_id) == ("b7ad6b7169203331", "req-of-the-provider")
    # Found under the request that reserved the trade, whoever reported it and when.
    assert (processing.parent_span_id, processing.request_id) == (receiving.span_id, trade.request_id)
    assert recorded["trade.ReportSettlement"].parent_span_id == processing.span_id
    (row,) = await door.rows("SELECT * FROM webhooks WHERE transact_id = $1", trade.trade_id)
    assert row["traceparent"] == f"00-{TRACE_ID}-{receiving.span_id}-01"
    (attempt,) = await door.rows("SELECT * FROM webhook_attempts WHERE webhook_id = $1", row["webhook_id"])
    assert attempt["traceparent"] == f"00-{TRACE_ID}-{processing.span_id}-01"
    assert attempt["request_id"] == trade.request_id


async def test_the_event_of_a_payin_carries_the_trace_of_the_try_that_wrote_it(door: Door, spans: Path) -> None:
    payin = credited(fundingReference="")
    answer = await door.post(payin, source=BANK, traceparent=TRACEPARENT)
    await door.until_processed(answer.body["webhookId"])
    sql = "SELECT traceparent FROM {} WHERE {} = $1"
    (attempt,) = await door.rows(sql.format("webhook_attempts", "webhook_id"), answer.body["webhookId"])
    (event,) = await door.rows(
        "SELECT outbox.traceparent FROM outbox JOIN webhooks ON payin_event_id = event_id WHERE webhook_id = $1",
        answer.body["webhookId"],
    )
    assert event["traceparent"] == attempt["traceparent"]
    assert event["traceparent"].startswith(f"00-{TRACE_ID}-")


async def test_who_has_not_signed_has_no_say_in_what_is_traced(door: Door, spans: Path) -> None:
    request_id = new_id("req")
    body = json.dumps(settled("pt_test_1")).encode()
    answer = await door.post(body, headers={"traceparent": TRACEPARENT, "x-request-id": request_id})
    assert answer.status == 401
    (kept,) = await door.rejected(request_id)
    assert TRACE_ID not in kept["traceparent"]
    assert read_spans(spans, trace_id=TRACE_ID) == []
