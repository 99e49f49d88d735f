"""Where recorded spans go: an OpenTelemetry collector, a Zipkin, the local span store, or several of them."""

import os
from collections.abc import Sequence
from pathlib import Path

import structlog
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from poolkit.telemetry.spanstore import SpanStoreExporter

_log = structlog.get_logger("poolkit.telemetry")

EXPORT_SECONDS_MAX = 2
# A Zipkin stands beside somebody who looks at it; a collector gets what the SDK gathers in five seconds.
ZIPKIN_DELAY_MS = 500


def open_provider(
    service: str,
    mode: str,
    *,
    otlp_endpoint: str | None = None,
    zipkin_endpoint: str | None = None,
    span_directory: Path | str | None = None,
) -> TracerProvider:
    """A provider that records all it is given; the sampling decision was made before it is asked."""
    # Resource() and not Resource.create(): its detectors scan every installed distribution, which costs start-up time.
    resource = Resource(
        {
            "service.name": service,
            "service.namespace": "pools",
            "service.instance.id": f"{service}-{os.getpid()}",
            "deployment.environment.name": mode,
        }
    )
    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    if otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(
            endpoint=otlp_endpoint,
            insecure=otlp_endpoint.startswith("http://"),
            # A collector that is away must not hold up a service that is told to go.
            timeout=EXPORT_SECONDS_MAX,
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
    if zipkin_endpoint:
        from opentelemetry.exporter.zipkin.json import ZipkinExporter

        zipkin = ZipkinExporter(endpoint=zipkin_endpoint, timeout=EXPORT_SECONDS_MAX)
        # A proxy that this machine uses for the world outside is not for a colleague of ours.
        zipkin.session.trust_env = False
        provider.add_span_processor(BatchSpanProcessor(_Shown(zipkin), schedule_delay_millis=ZIPKIN_DELAY_MS))
    if span_directory:
        # Written as they end, so that a killed process loses only the spans it had open.
        provider.add_span_processor(SimpleSpanProcessor(SpanStoreExporter(Path(span_directory), service)))
    return provider


class _Shown(SpanExporter):
    """Spans for somebody who looks: a Zipkin that is away costs those it would have shown and a line of the log."""

    def __init__(self, zipkin: SpanExporter) -> None:
        self._zipkin = zipkin

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._zipkin.export(spans)
        except OSError as failure:
            _log.warning("spans_not_shown", spans=len(spans), error=type(failure).__name__)
            return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._zipkin.shutdown()
