"""One attempt at an endpoint that means ill: where it may not lead, how long it may take, how much it may say."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.domain.deliveries import ClaimedDelivery, PostResult
from gateway.outbound.webhooks import WebhookPoster
from poolkit.security import Cipher, new_encryption_key, new_webhook_secret
from tests.integration.gateway.house import TRACEPARENT

CIPHER = Cipher(new_encryption_key())
ATTEMPT_SECONDS = 0.4

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Names(AbstractResolver):
    """A name server whose answer to each look-up is the next of those it was given, the last one for good."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of any name."""
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Door:
    """A listening socket that counts who comes in, and answers as it was told."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.came_in = 0
        self.port = 0
        self._inside: set[asyncio.Task[None]] = set()

    def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes one connection."""
        self.came_in += 1
        self._inside.add(asyncio.create_task(self._take(reader, writer)))

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await self.answer(writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def close(self) -> None:
        """Shows everybody out."""
        for task in self._inside:
            task.cancel()
        if self._inside:
            await asyncio.wait(self._inside)


@asynccontextmanager
async def door(answer: Answer) -> AsyncIterator[Door]:
    """A door on a free port of this machine, over IPv4 and IPv6."""
    opened = Door(answer)
    async with contextlib.AsyncExitStack() as stack:
        for host in ("127.0.0.1", "::1"):
            server = await asyncio.start_server(opened.handle, host, opened.port)
            opened.port = server.sockets[0].getsockname()[1]
            stack.callback(server.close)
        stack.push_async_callback(opened.close)
        yield opened


async def attempt(url: str, names: AbstractResolver | None = None, *, allow_private: bool = False) -> PostResult:
    """One attempt at the URL."""
    poster = WebhookPoster(CIPHER, allow_private=allow_private, attempt_seconds_max=ATTEMPT_SECONDS, resolver=names)
    secrets = (CIPHER.encrypt(new_webhook_secret()),)
    delivery = ClaimedDelivery("whd_1", "whk_1", 1, "event", url, secrets, b"{}", "req_test", TRACEPARENT)
    try:
        return await poster(delivery)
    finally:
        await poster.close()


async def pause() -> None:
    """A moment between two drops."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            await asyncio.Event().wait()


async def ok(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await writer.drain()


PRIVATE = {
    "loopback": "127.0.0.1",
    "another loopback": "127.8.9.1",
    "this host": "0.0.0.0",
    "private 10/8": "10.0.0.1",
    "private 172.16/12": "172.16.5.4",
    "private 192.168/16": "192.168.1.1",
    "metadata, link-local": "169.254.169.254",
    "carrier-grade NAT": "100.64.0.1",
    "multicast": "224.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv6 loopback": "::1",
    "IPv6 unspecified": "::",
    "IPv6 link-local": "fe80::1",
    "IPv6 unique local": "fd00:ec2::254",
    "IPv6 multicast": "ff02::1",
    "IPv4-mapped loopback": "::ffff:127.0.0.1",
    "IPv4-mapped metadata": "::ffff:169.254.169.254",
    "NAT64": "64:ff9b::7f00:1",
    "6to4": "2002:7f00:1::",
}


@pytest.mark.parametrize("address", PRIVATE.values(), ids=PRIVATE)
async def test_a_name_that_leads_to_no_public_address_is_not_connected_to(address: str) -> None:
    async with door(ok) as opened:
        result = await attempt(f"https://partner.example:{opened.port}/", Names([address]))
    assert (result.status_code, result.failure, opened.came_in) == (0, "address_not_allowed", 0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "2130706433", "localhost"]
)
async def test_however_this_machine_is_spelled_it_is_not_connected_to(host: str) -> None:
    async with door(ok) as opened:
        result = await attempt(f"https://{host}:{opened.port}/")
    assert (result.status_code, result.failure, opened.came_in) == (0, "address_not_allowed", 0)


async def test_an_answer_that_changes_between_a_check_and_the_connection_gains_nothing() -> None:
    names = Names(["1.1.1.1"], ["127.0.0.1"])
    async with door(ok) as opened:
        [checked] = await names.resolve("partner.example")
        assert checked["host"] == "1.1.1.1"
        for _ in range(2):
            result = await attempt(f"https://partner.example:{opened.port}/", names)
            assert (result.failure, opened.came_in) == ("address_not_allowed", 0)


async def test_of_several_private_addresses_none_is_connected_to() -> None:
    async with door(ok) as opened:
        result = await attempt(f"https://partner.example:{opened.port}/", Names(["127.0.0.1", "::1", "10.0.0.1"]))
    assert (result.failure, opened.came_in) == ("address_not_allowed", 0)


async def test_development_reaches_its_own_machine_by_the_same_way() -> None:
    async with door(ok) as opened:
        result = await attempt(f"http://partner.example:{opened.port}/", Names(["127.0.0.1"]), allow_private=True)
    assert (result.status_code, result.failure, opened.came_in) == (204, "", 1)


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def dripping_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await pause()


async def dripping_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await pause()


async def body_that_never_comes(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\n")
    await writer.drain()
    await asyncio.Event().wait()


async def body_cut_short(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    await writer.drain()


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        await writer.drain()


async def big_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 1_000_000 + b"\r\n\r\n")
    await writer.drain()


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-One-More: y\r\n" * 1_000)
        await writer.drain()


async def continue_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await pause()


async def another_protocol(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\x00\x01\x02")
    await writer.drain()


@pytest.mark.parametrize(
    ("answer", "status_code", "failure"),
    [
        (silent, 0, "timeout"),
        (dripping_head, 0, "timeout"),
        (continue_for_ever, 0, "timeout"),
        (dripping_body, 200, ""),
        (body_that_never_comes, 503, ""),
        (body_cut_short, 200, ""),
        (endless_body, 200, ""),
        (big_header, 0, "answer_unreadable"),
        (endless_headers, 0, "answer_unreadable"),
        (another_protocol, 0, "answer_unreadable"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_an_answer_is_cut_off_in_time_and_its_status_counts(
    answer: Answer, status_code: int, failure: str
) -> None:
    async with door(answer) as opened:
        started = time.monotonic()
        result = await attempt(f"http://127.0.0.1:{opened.port}/", allow_private=True)
        took = time.monotonic() - started
    assert (result.status_code, result.failure) == (status_code, failure)
    assert took < ATTEMPT_SECONDS + 1
