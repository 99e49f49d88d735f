"""A partner's webhook endpoint: takes what comes, answers as the test says, and keeps everything it was sent."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Answers 200 at `/…`, the statuses of `answers` in turn at `/in-turn`, never at `/never`, and redirects."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[int] = []
        self.url = ""
        self.release = asyncio.Event()

    def at(self, path: str) -> list[Received]:
        """What came to a path."""
        return [received for received in self.received if received.path == path]

    async def handle(self, request: web.Request) -> web.Response:
        """Takes one request."""
        self.received.append(Received(request.path, request.headers.copy(), await request.read()))
        if request.path.startswith("/in-turn"):
            return web.Response(status=self.answers.pop(0) if self.answers else 200)
        if request.path.startswith("/never"):
            await self.release.wait()
        if request.path.startswith("/redirect"):
            return web.Response(status=307, headers={"location": f"{self.url}/elsewhere"})
        if request.path.startswith("/novel"):
            return web.Response(body=b"x" * 5_000_000)
        return web.Response()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.release.set()
        await runner.cleanup()
