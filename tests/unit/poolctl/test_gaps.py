"""Which declared edges count as told: by a span's parent or link, by a row where a span is lost, by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from poolctl.tracing import edges
from poolctl.tracing.edges import Edge, Operation
from poolctl.tracing.gaps import gaps, rows_of, strays
from tests.unit.poolctl.spans import span

ASK = Operation("gateway", ("ask",))
WORK = Operation("trade", ("work",), ("intent",))
HOLD = Operation("ledger", ("hold",), ("hold placed",))
BATCH = Operation("trade", ("batch",))
ITEM = Edge(ASK, WORK, "parent", "item")
LATER = Edge(WORK, HOLD, "parent", "item")
GATHERED = Edge(BATCH, WORK, "link", "item")
TRACE, OTHER = "a" * 32, "b" * 32


def row(service: str, kind: str, span_id: str, *, trace: str = TRACE, state: str = "", **facts: str) -> dict[str, Any]:
    traceparent = f"00-{trace}-{span_id}-01"
    return {"service": service, "kind": kind, "state": state or None, "facts": facts, "traceparent": traceparent}


def test_an_edge_is_told_by_a_parent_or_a_link_and_by_no_mere_neighbour() -> None:
    ask = span("ask", start=0, end=9, service="gateway")
    below = span("work", start=1, end=2, parent="ask", links=[("t1", "batch")])
    batch = span("batch", start=1, end=3)
    beside = span("work", start=1, end=2)
    assert gaps([ITEM, GATHERED], [ask, below, batch]) == []
    assert gaps([ITEM, GATHERED], [ask, beside, batch]) == [ITEM, GATHERED]
    assert gaps([ITEM], [below]) == [ITEM]
    assert strays([below], []) == [below]
    assert strays([ask, below], []) == []


def test_a_row_stands_for_a_lost_span_in_its_own_trace() -> None:
    held = span("hold", start=5, end=6, trace=TRACE, parent="1" * 16, service="ledger")
    [intent] = rows_of([row("trade", "intent", "1" * 16)])
    assert gaps([LATER], [held], [intent], killed={"trade"}) == []
    assert strays([held], [intent]) == []
    # Of the cause as well as of the effect; but never a row of another trace.
    placed = row("ledger", "hold", "2" * 16, state="placed")
    assert gaps([LATER], [], rows_of([row("trade", "intent", "1" * 16), placed]), killed={"ledger"}) == []
    elsewhere = row("ledger", "hold", "2" * 16, trace=OTHER, state="placed")
    assert gaps([LATER], [], rows_of([row("trade", "intent", "1" * 16), elsewhere]), killed={"ledger"}) == [LATER]


def test_what_rows_tell_of_must_be_there_after_a_kill_too() -> None:
    work = span("work", start=1, end=2)
    assert gaps([LATER], [work], killed={"ledger"}) == [LATER]
    assert gaps([GATHERED], [work], killed={"trade"}) == []
    assert gaps([GATHERED], [work]) == [GATHERED]
    assert gaps([ITEM], [work], killed={"gateway"}) == []
    assert gaps([ITEM], [work], killed={"ledger"}) == [ITEM]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (row("ledger", "hold", "1" * 16, state="placed"), "placed"),
        (row("trade", "event", "1" * 16, type="pool.transaction.settled"), "settled"),
        (row("trade", "transition", "1" * 16, status="reserved"), "reserved"),
        (row("gateway", "delivery", "1" * 16), ""),
    ],
)
def test_a_row_is_known_by_its_kind_and_the_state_it_entered(told: dict[str, Any], state: str) -> None:
    [found] = rows_of([told])
    assert (found.kind, found.state, found.key) == (told["kind"], state, (TRACE, "1" * 16))
    assert rows_of([{**told, "traceparent": ""}]) == []


def test_the_declared_edges_reach_every_service_in_every_way() -> None:
    declared = [*edges.RESERVED, *edges.UNDONE, *edges.SETTLED, *edges.PAID_IN, *edges.POLLED]
    declared += [edge for of_one in edges.EDGES.values() for edge in of_one]
    assert {edge.hop for edge in declared} == {"call", "batch", "item", "kafka", "http"}
    services = {"gateway", "trade", "quote", "ledger", "webhook-ingest"}
    assert {edge.effect.service for edge in declared} >= services
