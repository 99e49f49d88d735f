"""An HTTP server inside the service's own event loop: uvicorn without its signal handlers and process management."""

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Callable, Generator
from typing import Final

import uvicorn

from poolkit.http.errors import send_error
from poolkit.http.protocol import BoundedProtocol, Patience
from poolkit.http.surroundings import Surroundings
from poolkit.http.types import App, Refuse

BACKLOG: Final = 2048


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves signals to the service."""
        yield


class HttpServer:
    """Serves an ASGI application on `host:port`. Requests are given `deadline_seconds` to pass on to colleagues.

    What cannot be read and requests with too large a head are answered by `refuse`, in one message; clients that take
    too long for its `patience` are cut off.
    `GET /ready` tells load balancers what `is_ready` says.
    """

    def __init__(
        self,
        app: App,
        listen: str,
        *,
        name: str = "http",
        deadline_seconds: float = 2.0,
        refuse: Refuse = send_error,
        patience: Patience = BoundedProtocol.patience,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.listen = listen
        self.port = 0
        self._surroundings = Surroundings(app, deadline_seconds=deadline_seconds, is_ready=is_ready, refuse=refuse)
        self._refuse = refuse
        self._patience = patience
        self._watch: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._server: _Server | None = None

    async def start(self) -> int:
        """Begins to listen and answers the port, also when 0 was asked for. Raises OSError when the port is taken."""
        # Its "Started server process" and the like are about a process that it is not, and its warnings about what
        # strangers send: those are refused, and no line of theirs is wanted for each.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        listener = self._bind()
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._surroundings,
            http=type(
                "Protocol", (BoundedProtocol,), {"patience": self._patience, "refuse": staticmethod(self._refuse)}
            ),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name=f"http {self.name}")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError(f"cannot serve HTTP on {self.listen}")
            await asyncio.sleep(0)
        self._watch = asyncio.create_task(self._look_at_clients(self._server), name=f"http clients {self.name}")
        return self.port

    async def _look_at_clients(self, server: _Server) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._patience.look_seconds)
            for connection in tuple(server.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.look(clock())

    def _bind(self) -> socket.socket:
        host, _, port = self.listen.rpartition(":")
        host = host.strip("[]")
        # Without the protocol asyncio does not know it for TCP and leaves Nagle's delay on: 40 ms for every answer.
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, int(port)))
        except OSError as error:
            listener.close()
            raise OSError(f"cannot listen on {self.listen}: {error}") from error
        listener.setblocking(False)
        return listener

    def drain(self) -> None:
        """From now on every answer ends its connection; new ones are still taken."""
        self._surroundings.draining = True

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more connections, waits for requests under way, and cuts what is left after `grace_seconds`."""
        if self._server is None or self._task is None:
            return
        self._server.config.timeout_graceful_shutdown = math.ceil(grace_seconds)
        self._server.should_exit = True
        await self._task
        if self._watch is not None:
            self._watch.cancel()
