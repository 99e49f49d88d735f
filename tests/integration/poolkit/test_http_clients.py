"""Clients that take too much or too long, each on a real socket: cut off, while everyone else is served."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from poolkit.http.protocol import HEAD_BYTES_MAX, Patience
from poolkit.http.server import HttpServer
from poolkit.http.types import Receive, Scope, Send
from tests.waiting import eventually

PATIENCE = Patience(head_seconds=0.1, request_seconds=0.2, answer_seconds=0.2, look_seconds=0.02)
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, then answers as many bytes as the path says."""
    while (await receive()).get("more_body"):
        pass
    body = b"x" * int(scope["path"].lstrip("/") or 2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(patience: Patience = PATIENCE) -> AsyncIterator[HttpServer]:
    """A server with little patience, so that tests need little too."""
    server = HttpServer(app, "127.0.0.1:0", patience=patience)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(1)


class Client:
    """A connection that sends and reads as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def trickle(self, data: bytes, *, first: bytes = b"") -> bytes:
        """Sends a byte at a time and answers what came back when it was cut off."""
        self.writer.write(first)

        async def send() -> None:
            pace = asyncio.Event()
            for byte in data:
                self.writer.write(bytes([byte]))
                asyncio.get_running_loop().call_later(0.02, pace.set)
                await pace.wait()
                pace.clear()

        sending, answer = asyncio.create_task(send()), b""
        try:
            async with asyncio.timeout(5):
                while received := await self.reader.read(65_536):
                    answer += received
        except ConnectionResetError:
            pass
        finally:
            sending.cancel()
        return answer

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """One whole exchange."""
        self.writer.write(request)
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[HttpServer]:
    """One server for all that may share it."""
    async with serving() as server:
        yield server


@asynccontextmanager
async def connected(server: HttpServer) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


SLOW = {
    "nothing at all": (b"", b""),
    "empty lines": (b"", b"\r\n" * 500),
    "headers": (b"", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100),
    "the path": (b"", b"GET /" + b"a" * 1000),
    "a body": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n", b"b" * 900),
    "chunks": (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 90),
    "a second request": (REQUEST, b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100),
}


async def test_a_client_that_sends_a_byte_at_a_time_is_cut_off(server: HttpServer) -> None:
    async def answered(first: bytes, rest: bytes) -> int:
        async with connected(server) as slow:
            return (await slow.trickle(rest, first=first)).count(b"200 OK")

    answers = await asyncio.gather(*(answered(first, rest) for first, rest in SLOW.values()))
    assert dict(zip(SLOW, answers, strict=True)) == dict.fromkeys(SLOW, 0) | {"a second request": 1}
    async with connected(server) as other:
        assert (await other.ask(REQUEST))[0] == 200


async def test_a_client_that_pauses_between_whole_requests_is_no_slow_one() -> None:
    patience = Patience(head_seconds=0.05, request_seconds=0.05, answer_seconds=0.05, look_seconds=0.01)
    async with serving(patience) as server, connected(server) as client:
        assert (await client.ask(REQUEST))[0] == 200
        rested = asyncio.get_running_loop().time() + 0.2
        await eventually(lambda: asyncio.get_running_loop().time() > rested, "longer than any patience has passed")
        assert (await client.ask(REQUEST))[0] == 200


@pytest.mark.parametrize("requests", [1, 50])
async def test_a_client_that_never_reads_its_answers_is_cut_off(server: HttpServer, requests: int) -> None:
    async with connected(server) as silent, connected(server) as other:
        silent.reader._transport.pause_reading()  # type: ignore[attr-defined]
        silent.writer.write(b"GET /9000000 HTTP/1.1\r\nhost: x\r\n\r\n" * requests)
        assert server._server is not None
        connections = server._server.server_state.connections
        assert (await other.ask(REQUEST))[0] == 200
        other.writer.close()
        await eventually(lambda: not connections, "the silent client is cut off", seconds=5)


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(lambda: b"GET / HTTP/1.1\r\n" + b"x-long: " + b"a" * 1_000_000, id="one header"),
        pytest.param(lambda: b"GET / HTTP/1.1\r\n" + b"x: %s\r\n" % (b"y" * 95) * 10_000, id="many headers"),
        pytest.param(lambda: b"GET /" + b"a" * 1_000_000, id="the path"),
    ],
)
async def test_a_head_that_does_not_end_is_refused(server: HttpServer, endless: Callable[[], bytes]) -> None:
    async with connected(server) as client:
        data = endless()
        assert len(data) > 10 * HEAD_BYTES_MAX
        status, headers, body = await client.ask(data)
        assert (status, json.loads(body)["code"]) == (431, "headers_too_large")
        assert json.loads(body)["request_id"] == headers["x-request-id"]
        assert headers["connection"] == "close"


async def test_a_body_that_does_not_end_is_cut_off(server: HttpServer) -> None:
    async with connected(server) as client:
        client.writer.write(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%s\r\n" % (65_536, b"x" * 65_536)

        async def send_for_ever() -> None:
            while True:
                client.writer.write(chunk)
                await client.writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_for_ever(), 5)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400, "invalid_request"),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400, "invalid_request"),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 33_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET /" + b"a" * 1024 + b" HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (b"GET /?" + b"a" * 4097 + b" HTTP/1.1\r\n\r\n", 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_the_contracts_body_and_a_request_id(
    server: HttpServer, request_: bytes, status: int, code: str
) -> None:
    async with connected(server) as client:
        answered, headers, body = await client.ask(request_)
        error = json.loads(body)
        assert (answered, error["code"], error["statusCode"]) == (status, code, status)
        assert error["request_id"] == headers["x-request-id"]


async def test_no_part_of_an_answer_waits_for_the_part_before_it_to_be_acknowledged() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await Client(reader, writer).ask(REQUEST))[0] == 200
        assert server._server is not None
        # Under asyncio's own loop, as here; each answer took 40 ms without it.
        [connection] = server._server.server_state.connections
        its_socket = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert its_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
