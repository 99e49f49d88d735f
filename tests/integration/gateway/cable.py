"""A cable between a service and its database or a colleague, which a test can pull out and plug in again, or pinch."""

import asyncio
from urllib.parse import urlsplit


class Cable:
    """Carries bytes between a port of its own and the server of a database URL."""

    def __init__(self) -> None:
        self._host, self._port = "", 0
        self._own_port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def to(self, url: str) -> str:
        """The URL of the same database through this cable."""
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 5432)
        await self.plug_in()
        return url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{self._own_port}")

    async def plug_in(self) -> None:
        """Carries again, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._own_port)
            self._own_port = self._server.sockets[0].getsockname()[1]

    async def pull_out(self) -> None:
        """Cuts every connection and takes no new one."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in self._writers:
            writer.transport.abort()

    def pinch(self) -> None:
        """Carries nothing more, while every connection stays as it is: whoever is behind it has fallen silent."""
        self._flowing.clear()

    def release(self) -> None:
        """Carries again, what was held back first."""
        self._flowing.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        both = {writer, far_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, far_writer))
                group.create_task(self._copy(far_reader, writer))
        except* OSError:
            pass
        finally:
            self._writers -= both

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
