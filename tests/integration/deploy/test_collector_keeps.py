"""The traces' collector with our configuration: every error and every slow trace comes out, and a part of the rest."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from poolctl.stack.ports import free_port
from poolkit.errors import Internal
from poolkit.telemetry.tracing import configure_tracing, current_trace_id, shutdown_tracing, span
from tests.unit.house.tree import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.long

CONFIG = ROOT / "deploy" / "observability" / "otel-collector.yaml"
BUILT = ROOT / "build" / "collector" / "otelcol"
MISSING = "There is no OpenTelemetry collector here; `make collector` builds one where Go is"
PLAIN = 400
"""Traces that are neither slow nor wrong, of which one in twenty is to be kept."""
SECRET = "http.request.header.authorization"


@dataclass(frozen=True)
class Recording:
    """Records everything, and sends it to the collector as a service does."""

    otlp_endpoint: str
    mode: str = "test"
    zipkin_endpoint: None = None
    span_directory: None = None
    trace_samples_per_second_max: float = 1_000_000.0


class Kept(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc] # the stubs have no types
    """Where the collector sends what it keeps."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name in the proto
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()

    @property
    def names(self) -> dict[str, list[str]]:
        """The spans of each trace."""
        found: dict[str, list[str]] = {}
        for one in self.spans:
            found.setdefault(one.trace_id.hex(), []).append(one.name)
        return found


@dataclass(frozen=True)
class Collector:
    """A collector that runs."""

    endpoint: str
    kept: Kept


def program() -> str:
    """Where it is."""
    found = shutil.which("otelcol") or (str(BUILT) if BUILT.exists() else None)
    if found is None:
        pytest.skip(MISSING)
    return found


@asynccontextmanager
async def collecting(directory: Path) -> AsyncIterator[Collector]:
    """Our configuration, on ports that nobody else has."""
    text, ports = CONFIG.read_text(encoding="utf-8"), {}
    for number in ("4317", "4318", "13133"):
        assert text.count(f':{number}"') == 1
        ports[number] = free_port(ports.values())
        text = text.replace(f':{number}"', f':{ports[number]}"')
    (directory / "otel-collector.yaml").write_text(text)
    kept, server = Kept(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(kept, server)
    sink = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    log = (directory / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *(program(), "--config", directory / "otel-collector.yaml"),
        env={"TRACES_ENDPOINT": f"127.0.0.1:{sink}", "TRACES_INSECURE": "true"},
        stdout=log,
        stderr=log,
    )
    try:

        async def is_up() -> bool:
            assert process.returncode is None, (directory / "log").read_text()
            async with httpx.AsyncClient(trust_env=False) as http:
                try:
                    return (await http.get(f"http://127.0.0.1:{ports['13133']}/")).status_code == 200
                except httpx.TransportError:
                    return False

        await eventually(is_up, "it says that it is well", seconds=60, every_seconds=0.1)
        yield Collector(f"http://127.0.0.1:{ports['4317']}", kept)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0, (directory / "log").read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        log.close()
        await server.stop(0)


async def test_the_configuration_is_one_that_the_collector_takes() -> None:
    process = await asyncio.create_subprocess_exec(
        *(program(), "validate", "--config", CONFIG),
        env={"TRACES_ENDPOINT": "traces.example:4317"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_every_error_and_every_slow_trace_is_kept_whole_and_a_part_of_the_rest(tmp_path: Path) -> None:
    async with collecting(tmp_path) as collector:
        configure_tracing("gateway", Recording(collector.endpoint))
        try:
            with span("wrong") as root:
                wrong = current_trace_id()
                root.set(SECRET, "Bearer nobody")
                root.set("pools.pool", "EUR-USDT")
                # Deep down, while the whole of it ends well.
                with span("step") as step:
                    step.fail(Internal())
            with span("slow"):
                slow, began = current_trace_id(), time.monotonic()
                await eventually(lambda: time.monotonic() - began > 0.6, "it takes its time")
            for _ in range(PLAIN):
                with span("plain"):
                    pass
        finally:
            await asyncio.to_thread(shutdown_tracing)
        kept = collector.kept

        def all_decided() -> bool:
            return {wrong, slow} <= kept.names.keys() and any(name == ["plain"] for name in kept.names.values())

        await eventually(all_decided, "the collector has decided", seconds=60, every_seconds=0.1)
    # It has sent all that it keeps by the time it ends.
    assert (sorted(kept.names[wrong]), kept.names[slow]) == (["step", "wrong"], ["slow"])
    assert 0 < Counter(one.name for one in kept.spans)["plain"] < PLAIN / 5
    [told] = [{pair.key for pair in one.attributes} for one in kept.spans if one.name == "wrong"]
    assert "pools.pool" in told
    assert SECRET not in told
