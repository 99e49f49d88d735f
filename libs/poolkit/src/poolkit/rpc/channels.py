"""The way out to colleagues: channels that pass on trace, request id and deadline, and raise the callee's reasons.

A method is wrapped once, where its stub is made: that costs 2 us a call, where a client interceptor that does nothing
makes a task of every call and costs 30.
"""

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import grpc

import pools_contracts.channel
from poolkit.context import current_request_id
from poolkit.errors import DeadlineExceeded
from poolkit.rpc.deadlines import shortened
from poolkit.rpc.status import domain_error
from poolkit.telemetry.spans import SampledSpan
from poolkit.telemetry.tracing import client_span, current_traceparent
from pools_contracts.policies import deadline_seconds

if TYPE_CHECKING:
    from poolkit.rpc.certificates import Certificates

Pairs = Sequence[tuple[str, str | bytes]]


def open_channel(
    address: str,
    caller: str,
    *,
    service: str = "",
    callee: str = "",
    certificates: "Certificates | None" = None,
    options: Sequence[tuple[str, int | str]] = (),
) -> "Channel":
    """A channel from the service `caller` to the colleague at `host:port`; give it to any stub or `…Client`.

    Its calls raise `DomainError`: the callee's reason where it gave one, `Unavailable` where it is out of reach,
    `DeadlineExceeded` where time ran out. Both of these leave the outcome unknown. `service` is the full name of a
    service there (a client's `service`): calls go only to replicas that say they take its calls. With `certificates` it
    is mutual TLS, and the other side must be `callee`, by default the one whose service that is.
    """
    inner = open_inner(address, caller, service=service, callee=callee, certificates=certificates, options=options)
    return Channel(inner)


def open_inner(
    address: str,
    caller: str,
    *,
    service: str = "",
    callee: str = "",
    certificates: "Certificates | None" = None,
    options: Sequence[tuple[str, int | str]] = (),
) -> grpc.aio.Channel:
    """The connection under a channel, as gRPC has it."""
    return pools_contracts.channel.open_raw_channel(
        address,
        caller=caller,
        service=service,
        callee=callee or pools_contracts.channel.certificate_name(service),
        credentials=certificates.channel_credentials() if certificates is not None else None,
        options=options,
    )


class Channel(pools_contracts.channel.Channel):
    """A channel whose calls carry the caller's context; methods that stream requests are passed through as they are."""

    def __init__(self, inner: grpc.aio.Channel) -> None:
        super().__init__(inner)
        self._called: list[tuple[_CalledMethod, Callable[[grpc.aio.Channel], Any]]] = []

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The method, wrapped."""
        return self._kept(method, _Call, lambda inner: inner.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The method, wrapped."""
        return self._kept(method, _Stream, lambda inner: inner.unary_stream(method, *args, **kwargs))

    def _kept(
        self, method: str, begun: "type[_Call | _Stream]", make: Callable[[grpc.aio.Channel], Any]
    ) -> "_CalledMethod":
        called = _CalledMethod(method, make(self._inner), begun)
        self._called.append((called, make))
        return called

    def renew(self, inner: grpc.aio.Channel) -> grpc.aio.Channel:
        """Lets all calls from now on go over `inner`; answers what they went over before, for the caller to close."""
        old, self._inner = self._inner, inner
        for called, make in self._called:
            called.redirect(make(inner))
        return old


class _CalledMethod:
    """One method of a colleague."""

    __slots__ = ("_begun", "_deadline_seconds", "_inner", "_name")

    def __init__(self, path: str, inner: Any, begun: "type[_Call | _Stream]") -> None:
        self._name = path.lstrip("/")
        self._inner = inner
        self._begun = begun
        self._deadline_seconds = deadline_seconds(path)

    def redirect(self, inner: Any) -> None:
        """Later calls go this way."""
        self._inner = inner

    def __call__(
        self, request: Any, *, timeout: float | None = None, metadata: Pairs | None = None, **kwargs: Any
    ) -> "_Call | _Stream":
        seconds = shortened(self._deadline_seconds if timeout is None else timeout)
        if seconds <= 0:
            raise DeadlineExceeded
        span = client_span(self._name)
        traceparent = current_traceparent() if span is None else span.traceparent
        request_id = current_request_id.get()
        pairs: Pairs = (
            (("traceparent", traceparent), ("x-request-id", request_id))
            if request_id
            else (("traceparent", traceparent),)
        )
        if metadata:
            pairs = (*pairs, *metadata)
        return self._begun(self._inner(request, timeout=seconds, metadata=pairs, **kwargs), span)


class _Call:
    """A call under way. Awaiting it answers the response or raises a `DomainError`; the rest is gRPC's own call."""

    __slots__ = ("_inner", "_span")

    def __init__(self, inner: Any, span: SampledSpan | None) -> None:
        self._inner = inner
        self._span = span

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            response = yield from self._inner.__await__()
        except grpc.aio.AioRpcError as failure:
            error = domain_error(failure)
            if self._span is not None:
                self._span.fail(error)
            raise error from failure
        finally:
            if self._span is not None:
                self._span.end()
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Stream:
    """A stream under way. Iterating it, once, answers its messages or raises a `DomainError`; whoever stops early ends
    the call."""

    __slots__ = ("_inner", "_span")

    def __init__(self, inner: Any, span: SampledSpan | None) -> None:
        self._inner = inner
        self._span = span

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for message in self._inner:
                yield message
        except grpc.aio.AioRpcError as failure:
            error = domain_error(failure)
            if self._span is not None:
                self._span.fail(error)
            raise error from failure
        finally:
            # Nothing happens to one that has ended.
            self._inner.cancel()
            if self._span is not None:
                self._span.end()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
