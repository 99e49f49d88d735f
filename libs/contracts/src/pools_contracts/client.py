"""What the clients of all services share: the channel they own, and its end."""

from types import TracebackType
from typing import ClassVar, Self

import grpc


class Client:
    """Stubs over one channel; close it, or use it as an async context manager."""

    service: ClassVar[str]
    """The full name by which replicas tell whether they take calls."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def ready(self) -> None:
        """Waits until a connection stands; bound it with `asyncio.timeout`."""
        await self.channel.channel_ready()

    async def close(self, grace_seconds: float | None = None) -> None:
        """Closes the channel; calls under way get `grace_seconds` to end."""
        await self.channel.close(grace_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
