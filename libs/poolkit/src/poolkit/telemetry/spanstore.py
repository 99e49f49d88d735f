"""The local span store: JSON lines, one file a process, for a stack on one machine that has no collector."""

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# A file that has grown this large is renamed, replacing the one renamed before: a process keeps at most twice this.
FILE_BYTES_MAX = 16 * 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span as read back: ids in hex, times in nanoseconds since the epoch, `links` as (trace id, span id)."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    service: str
    process_id: int
    start_ns: int
    end_ns: int
    error: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[tuple[str, str]]

    @property
    def request_id(self) -> str:
        """The request the span belongs to; empty where it serves several or none."""
        return str(self.attributes.get("pools.request_id", ""))


class SpanStoreExporter(SpanExporter):
    """Appends spans to `<directory>/<service>-<pid>.jsonl`."""

    def __init__(self, directory: Path, service: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{service}-{os.getpid()}.jsonl"
        self._service = service
        self._process_id = os.getpid()
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size_bytes = os.fstat(self._file).st_size

    def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
        """Writes the spans in one system call."""
        lines = "".join(self._line(span) for span in spans).encode()
        if self._size_bytes + len(lines) > FILE_BYTES_MAX:
            os.close(self._file)
            self._path.rename(self._path.with_suffix(".old.jsonl"))
            self._open()
        self._size_bytes += os.write(self._file, lines)
        return SpanExportResult.SUCCESS

    def _line(self, span: "ReadableSpan") -> str:
        context = span.get_span_context()
        assert context is not None
        stored = {
            "trace_id": f"{context.trace_id:032x}",
            "span_id": f"{context.span_id:016x}",
            "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else "",
            "name": span.name,
            "kind": span.kind.name.lower(),
            "service": self._service,
            "process_id": self._process_id,
            "start_ns": span.start_time,
            "end_ns": span.end_time,
            "error": "" if span.status.is_ok else (span.status.description or "error"),
            "attributes": dict(span.attributes or {}),
            "events": [
                {"name": event.name, "time_ns": event.timestamp, "attributes": dict(event.attributes or {})}
                for event in span.events
            ],
            "links": [(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in span.links],
        }
        return json.dumps(stored, separators=(",", ":"), default=str) + "\n"

    def shutdown(self) -> None:
        """Closes the file."""
        os.close(self._file)


def read_spans(directory: Path | str, *, request_id: str = "", trace_id: str = "") -> list[StoredSpan]:
    """The spans of a trace, or of a request across its traces, in order of their start.

    A request's spans are those that carry its id, those of the same traces that carry none, and the batch spans these
    link to. Lines cut short by a kill are passed over.
    """
    if not request_id and not trace_id:
        raise ValueError("read_spans needs a request id or a trace id")
    paths = sorted(Path(directory).glob("*.jsonl"))
    if trace_id:
        found = [span for span in _stored(paths, {trace_id}) if span.trace_id == trace_id]
    else:
        own = [span for span in _stored(paths, {f'"{request_id}"'}) if span.request_id == request_id]
        traces = {span.trace_id for span in own}
        linked = {link for span in own for link in span.links}
        found = own + [
            span
            for span in _stored(paths, traces | {trace for trace, _ in linked})
            if not span.request_id and (span.trace_id in traces or (span.trace_id, span.span_id) in linked)
        ]
    return sorted(found, key=lambda span: (span.start_ns, span.end_ns))


def spans_mentioning(directory: Path | str, texts: Set[str]) -> Iterator[StoredSpan]:
    """Every span that carries one of the texts anywhere: request, trace and span ids, of links too."""
    return _stored(sorted(Path(directory).glob("*.jsonl")), texts)


def _stored(paths: Sequence[Path], texts: Set[str]) -> Iterator[StoredSpan]:
    """The spans whose line holds one of the texts: looking is a hundred times cheaper than parsing."""
    if not texts:
        return
    matches = re.compile("|".join(re.escape(text) for text in texts)).search
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n") and matches(line):
                    fields = json.loads(line)
                    fields["links"] = [(link[0], link[1]) for link in fields["links"]]
                    yield StoredSpan(**fields)
