"""The channels of one process to its colleagues, opened once and renewed when its certificates change."""

import asyncio
from typing import Final

import grpc
import structlog

from poolkit.rpc.certificates import Certificates
from poolkit.rpc.channels import Channel, open_channel, open_inner
from poolkit.rpc.repeats import Repeats
from poolkit.telemetry.metrics import RPC_CLIENT_CONNECTED

LOOK_SECONDS: Final = 2.0
READY_SECONDS_MAX: Final = 5.0
# As long as any call of a service may take; then the old connection is cut.
LAST_CALLS_SECONDS_MAX: Final = 900.0
_BROKEN: Final = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)

log = structlog.get_logger(__name__)


class Colleagues:
    """Opens channels from `caller`; `watch` keeps them and the process's identity up to date."""

    def __init__(
        self, caller: str, certificates: Certificates | None = None, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._caller = caller
        self._certificates = certificates
        self._look_seconds = look_seconds
        self._channels: dict[tuple[str, str], Channel] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._told = Repeats()

    def channel(self, address: str, service: str) -> Channel:
        """A channel to `host:port`, one for each address; `service` is the full name of what is called there."""
        key = (address, service)
        if key not in self._channels:
            if self._certificates is not None:
                self._versions[key] = self._certificates.version
            channel = open_channel(address, self._caller, service=service, certificates=self._certificates)
            RPC_CLIENT_CONNECTED.labels(service).set_function(lambda: _is_connected(channel))
            self._channels[key] = channel
        return self._channels[key]

    async def watch(self) -> None:
        """Looks for new certificates every few seconds, and renews the channels that were opened with older ones."""
        certificates = self._certificates
        if certificates is None:
            return
        ends_at = None
        while True:
            await asyncio.sleep(self._look_seconds)
            version = certificates.look()
            if certificates.identity.has_ended and certificates.identity.ends_at != ends_at:
                ends_at = certificates.identity.ends_at
                certificates.tell_if_ended()
            for key, opened_with in list(self._versions.items()):
                if opened_with != version and await self._renew(key, certificates):
                    self._versions[key] = version

    async def _renew(self, key: tuple[str, str], certificates: Certificates) -> bool:
        """Puts a new connection under a channel once it stands; until then calls go over the old one."""
        address, service = key
        inner = open_inner(address, self._caller, service=service, certificates=certificates)
        if not await _stands(inner):
            if self._told.is_news(f"{service} {address}"):
                log.warning(
                    "channel_not_renewed",
                    rpc_service=service,
                    address=address,
                    why="No connection stands with the new certificate, so calls go on over the one before.",
                )
            await inner.close()
            return False
        old = self._channels[key].renew(inner)
        ending = asyncio.create_task(old.close(LAST_CALLS_SECONDS_MAX), name=f"end channel for {service}")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        log.info("channel_renewed", rpc_service=service, address=address)
        return True

    async def close(self) -> None:
        """Closes all of them, calls under way included."""
        for ending in self._ending:
            ending.cancel()
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        await asyncio.gather(*self._ending, return_exceptions=True)


async def _stands(inner: grpc.aio.Channel) -> bool:
    """Whether a connection comes about at the first try."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            state = inner.get_state(try_to_connect=True)
            while state not in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
                await inner.wait_for_state_change(state)
                state = inner.get_state(try_to_connect=True)
    except TimeoutError:
        return False
    return state is grpc.ChannelConnectivity.READY


def _is_connected(channel: Channel) -> bool:
    """Whether calls are sent, also where the first of them has yet to connect."""
    try:
        return channel.get_state() not in _BROKEN
    except grpc.aio.UsageError:
        # It is closed: this process is about to end.
        return False
