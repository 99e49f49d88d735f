"""How spans hang together, how long nothing happened between them, and that they always fit on the screen."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from poolctl.tracing.tree import SpanNode, build_tree, walk
from poolctl.tracing.view import tree_view
from poolkit.telemetry.spanstore import StoredSpan
from tests.unit.poolctl.spans import MS, span

STORY = [
    span("pools.gateway.v1.PartnerService/TransactQuote", start=0, end=10, service="gateway", request="a"),
    span("pools.trade.v1.TradeService/TransactQuotes", start=2, end=9, parent="root"),
    span("consume", start=3, end=4, parent="root"),
    span("deliver", start=250, end=260, parent="root", service="webhook-ingest", error="Timeout"),
    span("write", start=1, end=8, trace="t2", links=[("t1", "root")], batch=3),
]


def story() -> list[StoredSpan]:
    root, *rest = STORY
    return [StoredSpan(**{**{k: getattr(root, k) for k in root.__slots__}, "span_id": "root"}), *rest]


def shape(nodes: list[SpanNode]) -> list[object]:
    return [[node.span.name, *shape(node.children)] if node.children else node.span.name for node in nodes]


def test_spans_hang_below_parents_and_else_below_what_they_point_at() -> None:
    roots = build_tree(story())
    assert shape(roots) == [
        [
            "pools.gateway.v1.PartnerService/TransactQuote",
            "write",
            "pools.trade.v1.TradeService/TransactQuotes",
            "consume",
            "deliver",
        ]
    ]
    marks = {node.span.name: (node.linked, node.later, node.depth) for node in walk(roots)}
    assert marks["write"] == (True, False, 1)
    assert marks["consume"] == (False, False, 1)
    assert marks["deliver"] == (False, True, 1)


def test_a_gap_is_the_time_in_which_nothing_beside_or_above_happened() -> None:
    roots = build_tree(
        [
            span("root", start=0, end=10),
            span("first", start=1, end=3, parent="root"),
            span("second", start=5, end=6, parent="root"),
            span("much later", start=40, end=41, parent="root"),
        ]
    )
    gaps = {node.span.name: node.gap_ns / MS for node in walk(roots)}
    assert gaps == {"root": 0, "first": 1, "second": 2, "much later": 30}


def test_a_span_whose_parent_was_lost_still_shows() -> None:
    roots = build_tree([span("orphan", start=5, end=6, parent="gone"), span("root", start=0, end=1, trace="t2")])
    assert [node.span.name for node in roots] == ["root", "orphan"]


def test_what_is_pointed_at_hangs_below_what_points_when_nothing_else_holds_it() -> None:
    roots = build_tree(
        [
            span("item", start=0, end=10, trace="a", links=[("b", "batch")]),
            span("batch", start=1, end=9, trace="b", batch=1),
        ]
    )
    assert shape(roots) == [["item", "batch"]]


SPANS = st.lists(
    st.builds(
        lambda number, start, length, trace, parent, link: span(
            f"s{number}", start=start, end=start + length, trace=trace, parent=parent, links=[link] if link else []
        ),
        number=st.integers(0, 12),
        start=st.integers(0, 50),
        length=st.integers(0, 50),
        trace=st.sampled_from(["a", "b"]),
        parent=st.just(""),
        link=st.none() | st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 12).map(lambda number: f"s{number}")),
    ),
    max_size=12,
    unique_by=lambda each: (each.trace_id, each.span_id),
)


@given(SPANS)
def test_every_span_is_in_the_tree_exactly_once_whatever_points_where(spans: list[StoredSpan]) -> None:
    shown = [(node.span.trace_id, node.span.span_id) for node in walk(build_tree(spans))]
    assert sorted(shown) == sorted((each.trace_id, each.span_id) for each in spans)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_tree_fits_the_screen_and_keeps_names_times_and_failures(width: int) -> None:
    screen = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    screen.print(tree_view(build_tree(story()), width))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "PartnerService/TransactQuote" in text
    assert "write ×3" in text
    assert "✗ Timeout" in text
    assert "240 ms" in text
