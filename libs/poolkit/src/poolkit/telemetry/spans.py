"""A recorded span, and the one that stands in for it where nothing is recorded."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from poolkit.errors import DomainError
from poolkit.telemetry import traceparent as w3c

if TYPE_CHECKING:
    from opentelemetry import trace as otel
    from opentelemetry.context import Context

type_of_attribute = str | int | float | bool
SpanKind = Literal["internal", "server", "client", "producer", "consumer"]


class Span(Protocol):
    """What code inside a span may say about it; every call does nothing where the span is not recorded."""

    @property
    def sampled(self) -> bool:
        """Whether anything said here is kept."""

    def rename(self, name: str) -> None:
        """Gives the span another name, where that shows only later."""

    def set(self, key: str, value: type_of_attribute) -> None:
        """Sets an attribute."""

    def event(self, name: str, attributes: Mapping[str, type_of_attribute] | None = None) -> None:
        """Notes that something happened now."""

    def link(self, traceparent: str) -> None:
        """Points at a span of this or another trace that led here; ignores what is not sampled."""

    def fail(self, error: BaseException | str) -> None:
        """Marks the span as failed, with the error's reason or type and never its text, which may hold secrets."""


class UnsampledSpan:
    """The span of an operation nobody records."""

    __slots__ = ()
    sampled = False

    def rename(self, name: str) -> None:
        """Does nothing."""

    def set(self, key: str, value: type_of_attribute) -> None:
        """Does nothing."""

    def event(self, name: str, attributes: Mapping[str, type_of_attribute] | None = None) -> None:
        """Does nothing."""

    def link(self, traceparent: str) -> None:
        """Does nothing."""

    def fail(self, error: BaseException | str) -> None:
        """Does nothing."""


UNSAMPLED = UnsampledSpan()


class SampledSpan:
    """A span of the OpenTelemetry SDK with its `traceparent` at hand."""

    __slots__ = ("otel_span", "traceparent")
    sampled = True

    def __init__(self, otel_span: "otel.Span") -> None:
        self.otel_span = otel_span
        context = otel_span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def rename(self, name: str) -> None:
        """Gives the span another name, where that shows only later."""
        self.otel_span.update_name(name)

    def set(self, key: str, value: type_of_attribute) -> None:
        """Sets an attribute."""
        self.otel_span.set_attribute(key, value)

    def event(self, name: str, attributes: Mapping[str, type_of_attribute] | None = None) -> None:
        """Notes that something happened now."""
        self.otel_span.add_event(name, attributes)

    def link(self, traceparent: str) -> None:
        """Points at a span of this or another trace that led here; ignores what is not sampled."""
        if w3c.is_sampled(traceparent) and w3c.is_valid(traceparent):
            self.otel_span.add_link(_remote(traceparent))

    def fail(self, error: BaseException | str) -> None:
        """Marks the span as failed, with the error's reason or type and never its text, which may hold secrets."""
        from opentelemetry.trace import Status, StatusCode

        if isinstance(error, DomainError):
            reason = error.reason.code
        else:
            reason = error if isinstance(error, str) else type(error).__name__
        self.otel_span.set_attribute("error.type", reason)
        self.otel_span.set_status(Status(StatusCode.ERROR, reason))

    def end(self) -> None:
        """Ends the span; what is said afterwards is lost."""
        self.otel_span.end()


def start_span(
    tracer: "otel.Tracer",
    name: str,
    *,
    parent: str | SampledSpan | None,
    kind: SpanKind,
    links: Sequence[str],
    attributes: Mapping[str, type_of_attribute],
) -> SampledSpan:
    """Starts a recorded span below `parent` (a `traceparent` from elsewhere, or a span of this process)."""
    from opentelemetry.trace import Link, SpanKind

    return SampledSpan(
        tracer.start_span(
            name,
            context=_context(parent),
            kind=SpanKind[kind.upper()],
            links=[Link(_remote(link)) for link in links if w3c.is_sampled(link) and w3c.is_valid(link)],
            attributes=attributes,
        )
    )


def _context(parent: str | SampledSpan | None) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    if parent is None:
        return Context()
    span = NonRecordingSpan(_remote(parent)) if isinstance(parent, str) else parent.otel_span
    return set_span_in_context(span, Context())


def _remote(traceparent: str) -> "otel.SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        int(w3c.trace_id_of(traceparent), 16),
        int(w3c.span_id_of(traceparent), 16),
        is_remote=True,
        trace_flags=TraceFlags(int(traceparent[53:55], 16)),
    )
