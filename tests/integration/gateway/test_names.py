"""Names whose servers are silent: a look-up that hangs holds up nobody else's webhooks, nor the end of the service."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.outbound.names import SystemNames
from tests.integration.gateway.desk import Desk
from tests.waiting import eventually

SILENT = 60


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were asked for: those of `silent.example` are never answered, others of it are this machine's."""
    names: list[str] = []
    over = threading.Event()
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *others: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if not name.endswith(".example"):
            return look_up(host, port, *others, **options)
        names.append(name)
        if name.endswith(".silent.example"):
            over.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up("127.0.0.1", port, *others, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield names
    over.set()


async def test_names_that_are_never_answered_hold_up_nobody_elses_webhooks(asked: list[str], desk: Desk) -> None:
    port = desk.receiver.url.rpartition(":")[2]
    for number in range(SILENT):
        desk.receiver.url = f"http://{number}.silent.example:{port}"
        await desk.endpoint("/hook", "org_silent")
    desk.receiver.url = f"http://well.example:{port}"
    await desk.endpoint("/well", "org_well")
    await desk.sender(attempt_seconds_max=1)
    await desk.receive(desk.event("org_silent"))
    await eventually(lambda: len(set(asked)) == SILENT, "every silent name is being looked up", seconds=5)
    started = time.monotonic()
    await desk.receive(desk.event("org_well"))
    await eventually(lambda: desk.receiver.at("/well"), "the other is delivered")
    assert time.monotonic() - started < 2
    looking = [thread for thread in threading.enumerate() if thread.name == "look-up"]
    assert len(looking) == SILENT, "each is looked up once at a time, however often it is tried"
    assert all(thread.daemon for thread in looking), "and none of them keeps a service from ending"


async def test_a_name_is_looked_up_as_the_system_does() -> None:
    names = SystemNames()
    found = await names.resolve("localhost", 8443, socket.AF_UNSPEC)
    assert ("127.0.0.1", 8443) in [(one["host"], one["port"]) for one in found]
    with pytest.raises(OSError, match=r".+"):
        await names.resolve("::1", 8443, socket.AF_INET)
    # Whoever stops waiting harms nobody.
    waiting = asyncio.ensure_future(names.resolve("localhost"))
    await asyncio.wait({waiting}, timeout=0)
    waiting.cancel()
    assert await names.resolve("localhost", 1)
