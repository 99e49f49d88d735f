"""A channel to a service: keepalive, limits, round robin, deadlines and retries as `policies` has them."""

from collections.abc import Sequence
from typing import Final

import grpc

from pools_contracts.policies import service_config

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024

CHANNEL_OPTIONS: Final[Sequence[tuple[str, int | str]]] = (
    ("grpc.service_config", service_config()),
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A dead peer is noticed within 40 s without traffic; servers allow a ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted service is found again within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Colleagues are reached directly, whatever proxy the environment names for the world outside.
    ("grpc.enable_http_proxy", 0),
)


def open_channel(
    address: str,
    *,
    caller: str = "",
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, int | str]] = (),
) -> grpc.aio.Channel:
    """A channel to `host:port` (every address the name resolves to), plaintext unless there are credentials.

    `caller` leads the user agent, so that the callee's operators can tell who calls. Later `options` win.
    """
    merged: dict[str, int | str] = dict(CHANNEL_OPTIONS)
    if caller:
        merged["grpc.primary_user_agent"] = caller
    merged.update(options)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=list(merged.items()))
    return grpc.aio.secure_channel(address, credentials, options=list(merged.items()))
