"""How a journey reads on a terminal: what is awaited, what is missing, and the journeys that carry one reference."""

import io
from typing import Any

from rich.console import Console

from poolctl.commands.documents import journey
from poolctl.journey_view import journey_view
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import types_pb2


def shown(identifier: str, answer: admin_pb2.FindJourneyResponse) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(journey_view(journey(identifier, answer)))
    told: Any = console.file
    return str(told.getvalue())


def test_a_journey_says_what_is_awaited_who_did_not_answer_where_events_came_from_and_all_its_ids() -> None:
    answer = admin_pb2.FindJourneyResponse(missing_services=["ledger"], truncated_services=["gateway"])
    record = answer.records.add(service="trade", kind="transition", record_id="pt_1/0", summary="trade reserved")
    record.record_time.FromJsonString("2026-11-22T10:00:00Z")
    record.ids.update(trade="pt_1", request="req_1", event="e1")
    taken = answer.records.add(service="quote", kind="event", record_id="e1", summary="inventory follows")
    taken.record_time.FromJsonString("2026-11-22T10:00:01Z")
    taken.ids.update(event="e1", request="req_1", idempotency_key="order 17")
    taken.facts.update(topic="pools.trade.terminal.v1", partition="3", offset="17")
    answer.trace_ids.append("t1")
    awaited = answer.awaited.add(what="attempt 3 to deliver the webhook", service="gateway", record_id="whd_1")
    awaited.since_time.FromJsonString("2026-11-22T10:00:00Z")
    awaited.due_time.FromJsonString("2026-11-22T10:00:10Z")
    text = shown("pt_1", answer)
    assert "trade reserved" in text
    assert "inventory follows (pools.trade.terminal.v1 partition 3 offset 17)" in text
    listed = [line.split() for line in text.splitlines()]
    assert listed[-4:] == [["requests", "req_1"], ["keys", "order", "17"], ["events", "e1"], ["traces", "t1"]]
    assert "awaits  attempt 3 to deliver the webhook, since 2026-11-22T10:00:00Z, due 2026-11-22T10:00:10Z" in text
    assert "ledger did not answer" in text
    assert "gateway has more of it" in text


def test_journeys_of_one_reference_are_listed_with_what_to_ask_for_next() -> None:
    answer = admin_pb2.FindJourneyResponse(next_page_token="b2xkZXI=")
    for number, trade in ((2, "pt_test_2"), (1, "")):
        answer.journeys.add(
            organization_id="org_1",
            fiat=types_pb2.Money(amount="100.00", currency="EUR"),
            crypto=types_pb2.Money(amount="107.904009", currency="USDT"),
            record=admin_pb2.ProductRecord(quote_id=f"pq_test_{number}", transact_id=trade, status="settled"),
        )
    text = shown("order 17", answer)
    assert "2 journeys carry 'order 17', newest first" in text
    assert text.index("pt_test_2") < text.index("pq_test_1")
    assert "100.00 EUR for 107.904009 USDT" in text
    assert "--page-token b2xkZXI=" in text
