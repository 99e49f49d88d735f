"""Looking names up for webhooks: as the system does it, each in a thread of its own.

The event loop's own way has few threads, of which libuv gives look-ups two: two names whose servers are silent would
keep every other partner's webhooks waiting until they fail as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

LOOK_UPS_MAX: Final = 512
"""Look-ups under way at once. A connector asks for a name once at a time: it takes as many silent ones to fill it."""


class SystemNames(AbstractResolver):
    """A look-up cannot be called off: whoever stops waiting for one leaves its thread behind until it is answered."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(LOOK_UPS_MAX)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError where it has none."""

        def look_up() -> list[ResolveResult]:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            return [
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=port,
                    family=its_family,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
                for its_family, _, protocol, _, address in found
            ]

        async with self._room:
            return await _in_a_thread(look_up)

    async def close(self) -> None:
        """Nothing is held."""


async def _in_a_thread(look_up: Callable[[], list[ResolveResult]]) -> list[ResolveResult]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

    def tell(found: list[ResolveResult], error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def run() -> None:
        found: list[ResolveResult] = []
        failure: Exception | None = None
        try:
            found = look_up()
        except Exception as error:
            failure = error
        # The loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, found, failure)

    # A daemon: a service that stops does not wait for a silent name server.
    try:
        threading.Thread(target=run, name="look-up", daemon=True).start()
    except RuntimeError as error:
        raise OSError("the system allows no more threads") from error
    return await answer
