"""Owns the stack's Zipkin: a page on which traces can be looked at, on loopback, which keeps them while it runs.

It is a part of a stack that asks for it. What it shows is lost when it stops; `poolctl trace` reads the span store,
which stays.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from poolctl.stack.java_jars import Release, Report, fetch_once
from poolctl.stack.layout import Layout
from poolctl.stack.process import Process

if TYPE_CHECKING:
    from jgo.maven import MavenContext

ZIPKIN: Final = "zipkin"
"""The part, and the purpose of its port."""

_VERSION: Final = "3.5.1"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.1
# A span takes about a kilobyte; beyond this many the oldest traces make room.
_SPANS_MAX = 50_000
_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xms32m",
    "-Xmx192m",
    "-XX:MaxMetaspaceSize=128m",
    "-Xss512k",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # Its libraries do what Java will forbid one day, and Java warns of it at length.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)


def url_at(port: int) -> str:
    """Where its page and its API are."""
    return f"http://127.0.0.1:{port}"


def spans_url(address: str) -> str:
    """Where it takes spans as Zipkin JSON."""
    return f"{address}/api/v2/spans"


class ZipkinPart:
    """Zipkin on 127.0.0.1:`port`, its memory and what it keeps bounded."""

    name = ZIPKIN
    version = _VERSION

    def __init__(self, layout: Layout, port: int, report: Report) -> None:
        self.port = port
        self._layout = layout
        self._report = report
        self.process = Process(ZIPKIN, log=layout.log(ZIPKIN), pid_file=layout.pid_file(ZIPKIN))

    async def start(self, extra: Mapping[str, str]) -> None:
        """Fetches it if need be, and returns when it takes spans."""
        if self.process.running:
            return
        fetched = await fetch_once(Release("Zipkin", _VERSION, _gather), self._layout.data_dir / ZIPKIN, self._report)
        listen = {
            "armeria.ports[0].ip": "127.0.0.1",
            "armeria.ports[0].port": self.port,
            "armeria.ports[0].protocols[0]": "http",
            "zipkin.storage.mem.max-spans": _SPANS_MAX,
        }
        [jar] = fetched.jars
        self.process.start(
            [str(fetched.java), *_JAVA_OPTIONS, "-jar", str(jar), *(f"--{name}={is_}" for name, is_ in listen.items())],
            # Nothing of ours: JAVA_TOOL_OPTIONS of the person at the keyboard must not reach it.
            environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **extra},
            directory=self._layout.run,
        )
        try:
            await self._wait_until_ready()
        except BaseException:
            await self.process.stop()
            raise

    async def is_ready(self) -> bool:
        return self.process.running and await self._answers()

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not await self.is_ready():
            if not self.process.running or time.monotonic() > deadline:
                raise self.process.failure(
                    f"Zipkin did not start on {url_at(self.port)}",
                    "The end of its log says why; without --zipkin the stack starts without it.",
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _answers(self) -> bool:
        """Whether it says that it is well, storage included."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b" 200 " in await asyncio.wait_for(reader.readline(), 2)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()


def _gather(context: "MavenContext", attempt: Path) -> Sequence[Path]:
    """One jar with all that it needs in it."""
    return [context.project("io.zipkin", "zipkin-server").at_version(_VERSION).artifact(classifier="exec").resolve()]
