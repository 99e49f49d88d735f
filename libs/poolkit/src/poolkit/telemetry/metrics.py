"""Metrics every service shares, declared once, and the page Prometheus reads them from."""

from typing import Final

import prometheus_client
from prometheus_client import Counter, Gauge

from poolkit.telemetry.durations import DurationHistogram

RPC_SERVER_DURATION: Final = DurationHistogram(
    "rpc_server_duration_seconds",
    "Time from a call's arrival to its answer, by gRPC code.",
    ("service", "method", "code"),
)
RPC_SERVER_IN_FLIGHT: Final = Gauge(
    "rpc_server_in_flight", "Calls being served now, by the server's listening side.", ("server",)
)
RPC_CLIENT_CONNECTED: Final = Gauge(
    "rpc_client_connected",
    "1 while calls to a colleague are sent; 0 while no connection stands and they fail at once, an open breaker.",
    ("service",),
)
HTTP_SERVER_DURATION: Final = DurationHistogram(
    "http_server_duration_seconds",
    "Time from a request's arrival to the end of its answer, by operation and status.",
    ("operation", "status"),
)
SERVICE_READY: Final = Gauge("service_ready", "1 while the service takes work, by what it needs.", ("dependency",))
LOOP_RESTARTS: Final = Counter(
    "service_loop_restarts", "Times a background loop crashed and was started again.", ("loop",)
)
CERTIFICATE_EXPIRY: Final = Gauge(
    "service_certificate_expiry_seconds", "Unix time at which the certificate in force ends, by its name.", ("name",)
)


def start_metrics_server(listen: str) -> int:
    """Serves `/metrics` on `host:port` from a thread of its own; answers the port, also when 0 was asked for."""
    host, _, port = listen.rpartition(":")
    server, _ = prometheus_client.start_http_server(int(port), host.strip("[]"))
    return int(server.server_port)
