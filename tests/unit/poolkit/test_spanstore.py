"""The span store: a request is found across its traces, and a killed writer's last line harms nobody."""

import json
from pathlib import Path
from typing import Any

import pytest

from poolkit.telemetry import spanstore
from poolkit.telemetry.exporting import open_provider
from poolkit.telemetry.spanstore import read_spans

A, B, C = "a" * 32, "b" * 32, "c" * 32


def line(trace_id: str, span_id: str, start_ns: int, **fields: Any) -> str:
    """One span as the exporter writes it."""
    given = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": "",
        "name": span_id,
        "kind": "internal",
        "service": "tested",
        "process_id": 1,
        "start_ns": start_ns,
        "end_ns": start_ns + 1,
        "error": "",
        "attributes": {},
        "events": [],
        "links": [],
    }
    return json.dumps(given | fields, separators=(",", ":")) + "\n"


def names(directory: Path, **wanted: str) -> list[str]:
    return [span.name for span in read_spans(directory, **wanted)]


def test_a_request_is_found_across_processes_traces_and_batches(tmp_path: Path) -> None:
    own = {"pools.request_id": "req_1"}
    other = {"pools.request_id": "req_2"}
    (tmp_path / "gateway-1.jsonl").write_text(
        line(A, "transact", 1, attributes=own) + line(A, "statement", 2) + line(C, "elsewhere", 3, attributes=other)
    )
    (tmp_path / "trade-2.jsonl").write_text(
        line(A, "item", 4, attributes=own, links=[[B, "batch"]])
        + line(B, "batch", 3, links=[[A, "transact"]])
        + line(B, "unrelated", 3)
        + line(A, "same trace, other request", 5, attributes=other)
    )
    (tmp_path / "ledger-3.jsonl").write_text(line(C, "much later", 90, attributes=own))
    assert names(tmp_path, request_id="req_1") == ["transact", "statement", "batch", "item", "much later"]
    assert names(tmp_path, trace_id=B) == ["batch", "unrelated"]


def test_a_request_id_within_another_is_not_the_same(tmp_path: Path) -> None:
    (tmp_path / "gateway-1.jsonl").write_text(line(A, "longer", 1, attributes={"pools.request_id": "req_12"}))
    assert names(tmp_path, request_id="req_1") == []


def test_a_line_cut_short_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    whole = line(A, "whole", 1)
    (tmp_path / "trade-1.jsonl").write_text(whole + line(A, "cut", 2)[:-9])
    assert names(tmp_path, trace_id=A) == ["whole"]


def test_asking_for_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="request id or a trace id"):
        read_spans(tmp_path)


def test_a_file_never_outgrows_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spanstore, "FILE_BYTES_MAX", 2000)
    provider = open_provider("tested", "test", span_directory=tmp_path)
    tracer = provider.get_tracer("tests")
    for number in range(50):
        tracer.start_span(f"span {number}").end()
    provider.shutdown()
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2
    last = next(tmp_path.glob("tested-[0-9]*[0-9].jsonl")).read_text().splitlines()[-1]
    assert json.loads(last)["name"] == "span 49"
    assert json.loads(last)["service"] == "tested"
