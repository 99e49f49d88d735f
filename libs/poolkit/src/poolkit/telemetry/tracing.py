"""Tracing: spans that cost next to nothing when unsampled, while trace ids keep flowing through every call and row.

One context variable holds either a `traceparent` (nothing recorded here) or a recorded span. OpenTelemetry's own
current-context is left alone: nobody here reads it, and keeping it would cost more than the rest together.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from poolkit.context import CallContext, current_request_id
from poolkit.telemetry import traceparent as w3c
from poolkit.telemetry.sampling import RootGate
from poolkit.telemetry.spans import UNSAMPLED, SampledSpan, Span, SpanKind, start_span, type_of_attribute

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer


class TracingSettings(Protocol):
    """The part of a service's settings that decides where spans go."""

    @property
    def mode(self) -> str:
        """`test` or `live`."""

    @property
    def otlp_endpoint(self) -> str | None:
        """Where an OpenTelemetry collector listens (gRPC), if anywhere."""

    @property
    def zipkin_endpoint(self) -> str | None:
        """Where a Zipkin takes spans as JSON, if anywhere."""

    @property
    def span_directory(self) -> Path | str | None:
        """Where the local span store keeps its files, if anywhere."""

    @property
    def trace_samples_per_second_max(self) -> float:
        """How many new traces a second are recorded."""


_BATCH_SIZE: Final = "pools.batch_size"

_current: ContextVar[str | SampledSpan] = ContextVar("poolkit_trace")
_tracer: "Tracer | None" = None
_provider: "TracerProvider | None" = None
_gate = RootGate(0)


def configure_tracing(service: str, settings: TracingSettings) -> None:
    """Starts recording to the collector, Zipkin and local store that the settings name; with none, records nothing."""
    global _tracer, _provider, _gate  # noqa: PLW0603 - one process, one tracer
    if not (settings.otlp_endpoint or settings.zipkin_endpoint or settings.span_directory):
        return
    from poolkit.telemetry.exporting import open_provider

    _provider = open_provider(
        service,
        settings.mode,
        otlp_endpoint=settings.otlp_endpoint,
        zipkin_endpoint=settings.zipkin_endpoint,
        span_directory=settings.span_directory,
    )
    _tracer = _provider.get_tracer("poolkit")
    _gate = RootGate(settings.trace_samples_per_second_max)


def shutdown_tracing() -> None:
    """Sends what is still buffered and stops recording. Blocks for up to a few seconds when a collector is slow."""
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is not None:
        provider.shutdown()


def current_traceparent() -> str:
    """The `traceparent` of the operation under way; a new unsampled one where no operation is. Always valid."""
    current = _current.get(None)
    if current is None:
        return w3c.new_traceparent()
    return current if isinstance(current, str) else current.traceparent


def current_trace_id() -> str:
    """The trace id of the operation under way, for log lines; empty where no operation is."""
    current = _current.get(None)
    if current is None:
        return ""
    return w3c.trace_id_of(current if isinstance(current, str) else current.traceparent)


class SpanScope:
    """The context manager behind `span` and `batch_span`."""

    __slots__ = ("_attributes", "_kind", "_links", "_name", "_parent", "_request_id", "_root", "_span", "_token")

    def __init__(
        self,
        name: str,
        parent: str,
        kind: SpanKind,
        links: Sequence[str],
        attributes: Mapping[str, type_of_attribute] | None,
        request_id: str,
        root: bool | None,
    ) -> None:
        self._name = name
        self._parent = parent
        self._kind = kind
        self._links = links
        self._attributes = attributes
        self._request_id = request_id
        self._root = root
        self._span: SampledSpan | None = None
        self._token: Token[str | SampledSpan] | None = None

    def __enter__(self) -> Span:
        if self._root is not None:
            parent: str | SampledSpan | None = None
        elif self._parent and w3c.is_valid(self._parent):
            parent = self._parent
        else:
            parent = _current.get(None)
        if parent is None:
            recorded = _tracer is not None and (_gate.admit() if self._root is None else self._root)
        else:
            recorded = _tracer is not None and (not isinstance(parent, str) or w3c.is_sampled(parent))
        if recorded:
            return self._record(parent)
        if parent is None:
            self._token = _current.set(w3c.new_traceparent())
        elif isinstance(parent, str):
            self._token = _current.set(parent)
        return UNSAMPLED

    def _record(self, parent: str | SampledSpan | None) -> Span:
        assert _tracer is not None
        attributes = dict(self._attributes or ())
        # A batch serves several requests, and is none of theirs.
        if _BATCH_SIZE not in attributes and (request_id := self._request_id or current_request_id.get("")):
            attributes["pools.request_id"] = request_id
        self._span = start_span(
            _tracer, self._name, parent=parent, kind=self._kind, links=self._links, attributes=attributes
        )
        self._token = _current.set(self._span)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if self._span is not None:
            if self._kind == "server":
                # Each call has a task of its own: what is said after its span, such as its refusal, is still of it.
                _current.set(self._span.traceparent)
            if error is not None:
                self._span.fail(error)
            self._span.end()


def span(
    name: str,
    *,
    traceparent: str = "",
    kind: SpanKind = "internal",
    links: Sequence[str] = (),
    attributes: Mapping[str, type_of_attribute] | None = None,
    request_id: str = "",
) -> SpanScope:
    """A span around a block: below `traceparent` where that is valid, else below the current one, else a new trace.

    A new trace is recorded when the rate allows; anything else keeps its parent's decision. Unsampled, only the ids
    flow on. `links` are `traceparent`s. The request id is the current one unless given.
    """
    return SpanScope(name, traceparent, kind, links, attributes, request_id, None)


def batch_span(name: str, contexts: Sequence[CallContext], *, kind: SpanKind = "internal") -> SpanScope:
    """A span around the work on a batch, in a trace of its own, linked to each sampled item's operation.

    Recorded when at least one item is sampled, whatever the rate: otherwise links would lead nowhere.
    """
    links = [context.traceparent for context in contexts if w3c.is_sampled(context.traceparent)]
    return SpanScope(name, "", kind, links, {_BATCH_SIZE: len(contexts)} if links else None, "", bool(links))


def enter_call(name: str, traceparent: str, *, trusted: bool) -> SpanScope | None:
    """Begins a call that runs in a task of its own: a scope to enter where it is recorded, else None and only ids flow.

    A caller that is not `trusted` begins a new trace, linked to its own, so that strangers cannot have calls recorded.
    """
    known = w3c.is_valid(traceparent)
    if known and trusted:
        if _tracer is not None and w3c.is_sampled(traceparent):
            return SpanScope(name, traceparent, "server", (), None, "", None)
        _current.set(traceparent)
        return None
    if _tracer is not None and _gate.admit():
        return SpanScope(name, "", "server", (traceparent,) if known else (), None, "", True)
    _current.set(w3c.new_traceparent())
    return None


def client_span(name: str) -> SampledSpan | None:
    """Begins the span of a call to a colleague where the current one is recorded; whoever awaits the call ends it."""
    current = _current.get(None)
    if _tracer is None or not isinstance(current, SampledSpan):
        return None
    attributes: dict[str, type_of_attribute] = {"rpc.system": "grpc"}
    request_id = current_request_id.get()
    if request_id:
        attributes["pools.request_id"] = request_id
    return start_span(_tracer, name, parent=current, kind="client", links=(), attributes=attributes)


class ItemSpans:
    """One span for each sampled item of a batch, open as long as the block; `contexts` are what to pass on and store.

    An unsampled item keeps its very context: it costs one look at its last character.
    """

    __slots__ = ("_name", "_spans", "contexts")

    def __init__(self, name: str, contexts: Sequence[CallContext]) -> None:
        self._name = name
        self._spans: dict[int, SampledSpan] = {}
        self.contexts: list[CallContext] = list(contexts)

    def __enter__(self) -> Self:
        if _tracer is None:
            return self
        for index, context in enumerate(self.contexts):
            if w3c.is_sampled(context.traceparent) and w3c.is_valid(context.traceparent):
                self._start(index, context)
        return self

    def _start(self, index: int, context: CallContext) -> None:
        assert _tracer is not None
        batch = _current.get(None)
        links = [batch.traceparent] if isinstance(batch, SampledSpan) else []
        attributes: dict[str, type_of_attribute] = {"pools.request_id": context.request_id}
        if context.organization_id:
            attributes["pools.organization_id"] = context.organization_id
        item = start_span(
            _tracer, self._name, parent=context.traceparent, kind="internal", links=links, attributes=attributes
        )
        self._spans[index] = item
        self.contexts[index] = context._replace(traceparent=item.traceparent)

    def __getitem__(self, index: int) -> Span:
        """The item's span, to say something about it."""
        return self._spans.get(index, UNSAMPLED)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for item in self._spans.values():
            if error is not None:
                item.fail(error)
            item.end()


def item_spans(name: str, contexts: Sequence[CallContext]) -> ItemSpans:
    """A span for each sampled item of a batch: a child of the item's own parent, linked to the current (batch) span."""
    return ItemSpans(name, contexts)
