"""Posting webhooks to partners: signed twice, bounded in time, never redirected, never into private networks."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver

from gateway.app.addresses import check_url, is_public
from gateway.domain.deliveries import ClaimedDelivery, PostResult
from gateway.outbound.names import SystemNames
from poolkit.errors import InvalidRequest
from poolkit.security import Cipher, pools_signature, sign_standard
from poolkit.telemetry.tracing import current_traceparent, span

ATTEMPT_SECONDS_MAX: Final = 10.0
ANSWER_BYTES_MAX: Final = 16 * 1024
HEADERS_MAX: Final = 64
HEADER_BYTES_MAX: Final = 8 * 1024
CONNECTIONS_MAX: Final = 512

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


class PrivateAddress(OSError):
    """The name leads, now, to an address that webhooks must not go to."""


def public_socket(info: AddressInfo) -> socket.socket:
    """A socket for this very address, after every look-up: a name that changes its mind in between gains nothing."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise PrivateAddress("the endpoint leads to an address that is not public")
    return any_socket((family, kind, protocol, "", address))


def any_socket(info: AddressInfo) -> socket.socket:
    """A socket for any address, for development."""
    opened = socket.socket(family=info[0], type=info[1], proto=info[2])
    opened.setblocking(False)
    return opened


class WebhookPoster:
    """Fulfils `gateway.app.deliveries.Post`. Open it inside the loop it runs on, close it at the end."""

    def __init__(
        self,
        cipher: Cipher,
        *,
        allow_private: bool,
        attempt_seconds_max: float = ATTEMPT_SECONDS_MAX,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._cipher = cipher
        self._allow_private = allow_private
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX,
                resolver=resolver or SystemNames(),
                socket_factory=any_socket if allow_private else public_socket,
                ttl_dns_cache=10,
                keepalive_timeout=30,
            ),
            timeout=aiohttp.ClientTimeout(total=attempt_seconds_max),
            read_bufsize=ANSWER_BYTES_MAX,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": "0Pools-Webhooks/1", "Content-Type": "application/json"},
        )

    async def __call__(self, delivery: ClaimedDelivery) -> PostResult:
        """One attempt. Never raises but when cancelled: whatever happens is the attempt's result."""
        started = time.perf_counter()
        status_code, failure = 0, ""
        with span(
            "webhook attempt", traceparent=delivery.traceparent, kind="client", request_id=delivery.request_id
        ) as attempt:
            try:
                status_code = await self._post(delivery)
            except TimeoutError:
                failure = "timeout"
            except (aiohttp.ClientError, OSError, InvalidRequest, ValueError) as error:
                failure = _named(error)
            attempt.set("pools.delivery_id", delivery.delivery_id)
            attempt.set("http.response.status_code", status_code)
            if failure:
                attempt.fail(failure)
        return PostResult(status_code, failure, int((time.perf_counter() - started) * 1000))

    async def _post(self, delivery: ClaimedDelivery) -> int:
        check_url(delivery.url, allow_private=self._allow_private)
        secrets = [self._cipher.decrypt(secret) for secret in delivery.encrypted_secrets]
        now = int(time.time())
        headers = sign_standard(secrets, delivery.event_id, now, delivery.body)
        headers["Pools-Signature"] = pools_signature(secrets, now, delivery.body)
        headers["X-Request-Id"] = delivery.request_id
        headers["traceparent"] = current_traceparent()
        async with self._session.post(
            delivery.url, data=delivery.body, headers=headers, allow_redirects=False
        ) as response:
            # The status is the answer. Of the rest a little is read, so that the connection can be used again; who
            # sends a novel, or a letter a second, is cut off.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                await response.content.read(ANSWER_BYTES_MAX)
            if not response.content.at_eof():
                response.close()
            return response.status

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()


def _named(error: Exception) -> str:
    """What went wrong, by kind and never by text, which may hold what the endpoint said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PrivateAddress | InvalidRequest | aiohttp.InvalidURL):
            return "address_not_allowed"
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "name_not_found"
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls_failed"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return "connection_failed"
    return "answer_unreadable" if isinstance(error, aiohttp.ClientError) else "not_sendable"
