"""A channel to a service: keepalive, limits, round robin, deadlines and retries as `policies` has them."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import grpc

from pools_contracts.policies import deadline_seconds, service_config

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024

CHANNEL_OPTIONS: Final[Sequence[tuple[str, int | str]]] = (
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A dead peer is noticed within 40 s without traffic; servers allow a ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted service is found again within a second. The "min" is how long one attempt to connect may take: long
    # enough for a handshake on a busy machine, short enough to leave an address that swallows packets.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A channel of one's own: gRPC shares connections between channels of a process, and with them the memory of an
    # address that refused a moment ago, so that a new channel would fail at once although the service is back.
    ("grpc.use_local_subchannel_pool", 1),
    # Names are looked up anew whenever a connection ends, which a rolling restart makes happen every few seconds; gRPC
    # itself would wait 30 s since it last looked, and by then every replica it knows may be gone.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Colleagues are reached directly, whatever proxy the environment names for the world outside.
    ("grpc.enable_http_proxy", 0),
)


class Channel(grpc.aio.Channel):
    """A channel whose calls have their policy's deadline unless the caller gives one; the rest is gRPC's own."""

    def __init__(self, inner: grpc.aio.Channel) -> None:
        self._inner = inner

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The method, with its deadline."""
        return _with_deadline(method, self._inner.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The method, with its deadline: for the whole stream."""
        return _with_deadline(method, self._inner.unary_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The method as it is."""
        return self._inner.stream_unary(method, *args, **kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The method as it is."""
        return self._inner.stream_stream(method, *args, **kwargs)

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; calls under way get `grace` seconds to end."""
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the connection."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the state is another."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits until a connection stands."""
        await self._inner.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._inner.close()


def _with_deadline(method: str, inner: Any) -> Any:
    seconds = deadline_seconds(method)

    def call(request: Any, *, timeout: float | None = None, **options: Any) -> Any:
        return inner(request, timeout=seconds if timeout is None else timeout, **options)

    return call


def open_raw_channel(
    address: str,
    *,
    caller: str = "",
    service: str = "",
    callee: str = "",
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, int | str]] = (),
) -> grpc.aio.Channel:
    """gRPC's own channel with these options, for those who set deadlines themselves. Later `options` win."""
    merged: dict[str, int | str] = {"grpc.service_config": service_config(service), **dict(CHANNEL_OPTIONS)}
    if caller:
        merged["grpc.primary_user_agent"] = caller
    if callee and credentials is not None:
        # Certificates carry the service's name, whatever address its replicas are found at.
        merged["grpc.ssl_target_name_override"] = callee
    merged.update(options)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=list(merged.items()))
    return grpc.aio.secure_channel(address, credentials, options=list(merged.items()))


def open_channel(
    address: str,
    *,
    caller: str = "",
    service: str = "",
    callee: str = "",
    credentials: grpc.ChannelCredentials | None = None,
) -> Channel:
    """A channel to `host:port` (every address the name resolves to), plaintext unless there are credentials.

    `caller` leads the user agent, so that the callee's operators can tell who calls; who the callee takes it for is in
    the credentials' certificate. `service` is the full name of a service there: calls go only to replicas that say they
    take its calls. `callee` is the name that the certificate over there must carry, if not that of the address.
    """
    raw = open_raw_channel(address, caller=caller, service=service, callee=callee, credentials=credentials)
    return Channel(raw)


def certificate_name(service: str) -> str:
    """What a service's certificate is issued for: `webhook-ingest` for `pools.webhook_ingest.v1.PayinService`."""
    return service.split(".")[1].replace("_", "-") if "." in service else ""
