"""A service as its own process: ready when it can work, and gone without dropping anything it accepted."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import pools_contracts.quote
from poolctl.stack.ports import free_port
from pools.quote.v1 import quote_pb2
from tests.integration.databases import RunningPostgres
from tests.waiting import eventually

PROGRAM = Path(__file__).with_name("draining_service.py")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNREACHABLE_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/none"


@dataclass
class Service:
    """A running service and its addresses."""

    process: asyncio.subprocess.Process
    rpc: str
    http: str
    health: str
    metrics: str

    async def ended(self) -> tuple[int | None, list[dict[str, Any]], str]:
        """Exit status, what it printed, and its log."""
        out, log = await asyncio.wait_for(self.process.communicate(), 20)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], log.decode()


async def start(database_url: str, **environment: str) -> Service:
    rpc, http, health, metrics = (f"127.0.0.1:{free_port()}" for _ in range(4))
    # As whoever deploys it starts it: importing poolctl has made gRPC in this process say less than it does by itself.
    ours = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **ours,
            "POOLS_MODE": "test",
            "POOLS_DATABASE_URL": database_url,
            "POOLS_GRPC_LISTEN": rpc,
            "POOLS_HEALTH_LISTEN": health,
            "POOLS_METRICS_LISTEN": metrics,
            "HTTP_LISTEN": http,
            **environment,
        },
    )
    return Service(process, rpc, http, health, metrics)


async def state(address: str, service: str) -> int:
    """What the health port says, waiting for the port to open."""
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(20):
        check = health_pb2_grpc.HealthStub(channel).Check
        request = health_pb2.HealthCheckRequest(service=service)
        return (await check(request, wait_for_ready=True, timeout=20)).status


async def until_ready(service: Service) -> None:
    async with grpc.aio.insecure_channel(service.health) as channel, asyncio.timeout(20):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        async for answer in watch:
            if answer.status == SERVING:
                return


@contextlib.asynccontextmanager
async def serving(postgres: RunningPostgres) -> AsyncIterator[Service]:
    running = await start(await postgres.empty_database("quote"))
    await until_ready(running)
    try:
        yield running
    finally:
        if running.process.returncode is None:
            running.process.kill()
            await running.process.wait()


@pytest.fixture(scope="module")
async def service(postgres: RunningPostgres) -> AsyncIterator[Service]:
    """A ready service, shared by the tests that leave it running."""
    async with serving(postgres) as running:
        yield running


async def call_until_refused(service: Service, begun: asyncio.Event) -> int:
    """Calls one after the other, `begun` with the first answer; how many were answered when none is taken any more."""
    answered = 0
    async with pools_contracts.quote.connect(service.rpc) as client:
        while True:
            try:
                await client.quote.GetQuotes(quote_pb2.GetQuotesRequest())
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return answered
            answered += 1
            begun.set()


async def request_until_refused(service: Service, begun: asyncio.Event) -> int:
    """The same with requests over kept connections."""
    answered = 0
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://{service.http}/") as response:
                    assert response.status == 200
                    await response.read()
            except aiohttp.ClientConnectionError:
                return answered
            answered += 1
            begun.set()


async def test_sigterm_under_load_drops_no_accepted_call_or_request(postgres: RunningPostgres) -> None:
    async with serving(postgres) as service:
        await stop_under_load(service)


async def stop_under_load(service: Service) -> None:
    called, requesting = asyncio.Event(), asyncio.Event()
    callers = [asyncio.create_task(call_until_refused(service, called)) for _ in range(8)]
    requesters = [asyncio.create_task(request_until_refused(service, requesting)) for _ in range(4)]
    async with (
        pools_contracts.quote.connect(service.rpc) as client,
        grpc.aio.insecure_channel(service.health) as health_channel,
        asyncio.timeout(20),
    ):
        held = [
            asyncio.ensure_future(client.quote.ListPools(quote_pb2.ListPoolsRequest(), timeout=20)) for _ in range(20)
        ]
        states = health_pb2_grpc.HealthStub(health_channel).Watch(health_pb2.HealthCheckRequest())
        assert (await states.read()).status == SERVING
        # Held calls have arrived once one that was sent after them has been answered.
        await client.quote.GetQuotes(quote_pb2.GetQuotesRequest())
        await called.wait()
        await requesting.wait()
        service.process.send_signal(signal.SIGTERM)
        assert (await states.read()).status == NOT_SERVING
        await asyncio.gather(*held)
        answered = sum(await asyncio.gather(*callers))
        requested = sum(await asyncio.gather(*requesters))
    status, [counted], log = await service.ended()
    assert status == 0, log
    assert counted["rpc"] == answered + len(held) + 1
    assert counted["http"] == requested
    assert answered > 0
    assert requested > 0
    assert counted["ended"] == ["loop", "drain with 0 calls in flight", "close"]


async def test_callers_leave_a_replica_before_it_stops_whatever_they_call(
    service: Service, postgres: RunningPostgres
) -> None:
    """By round robin without a failure, also of calls that may not be repeated; a load balancer is told as well."""
    async with serving(postgres) as leaving, aiohttp.ClientSession() as session:
        answered = 0
        gone = asyncio.Event()

        async def call() -> None:
            nonlocal answered
            while not gone.is_set():
                await client.quote.CreateQuotes(quote_pb2.CreateQuotesRequest())
                answered += 1

        async def ready() -> int:
            async with session.get(f"http://{leaving.http}/ready") as response:
                return response.status

        async def says_that_it_leaves() -> bool:
            return await ready() == 503

        async with pools_contracts.quote.connect(f"ipv4:{leaving.rpc},{service.rpc}") as client:
            callers = [asyncio.create_task(call()) for _ in range(8)]
            await eventually(lambda: answered >= 100, "calls are answered")
            assert await ready() == 200
            leaving.process.send_signal(signal.SIGTERM)
            await eventually(says_that_it_leaves, "it says that it leaves", every_seconds=0.005)
            status, [counted], log = await leaving.ended()
            gone.set()
            await asyncio.gather(*callers)
    assert status == 0, log
    assert 0 < counted["rpc"] < answered


async def test_health_tells_that_it_lives_while_the_database_is_out_of_reach() -> None:
    service = await start(UNREACHABLE_DATABASE)
    try:
        assert await state(service.health, "liveness") == SERVING
        assert await state(service.health, "") == NOT_SERVING
        service.process.terminate()
        status, printed, log = await service.ended()
        assert (status, printed) == (0, []), log
        assert "database_out_of_reach" in log
    finally:
        if service.process.returncode is None:
            service.process.kill()


async def test_metrics_tell_calls_and_readiness(service: Service) -> None:
    async with pools_contracts.quote.connect(service.rpc) as client:
        await client.quote.GetQuotes(quote_pb2.GetQuotesRequest())
    async with aiohttp.ClientSession() as session, session.get(f"http://{service.metrics}/metrics") as response:
        page = await response.text()
    calls = 'rpc_server_duration_seconds_count{code="OK",method="GetQuotes",service="pools.quote.v1.QuoteService"} 1.0'
    assert calls in page.splitlines()
    assert 'service_ready{dependency="database"} 1.0' in page.splitlines()


@pytest.mark.parametrize(("asked", "status"), [((), 0), (("liveness",), 0), (("nothing of ours",), 1)])
async def test_a_platform_that_runs_a_command_learns_health_by_its_status(
    service: Service, asked: tuple[str, ...], status: int
) -> None:
    command = [sys.executable, "-m", "poolkit.rpc.probe", *asked]
    probe = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "POOLS_HEALTH_LISTEN": service.health}, stderr=asyncio.subprocess.DEVNULL
    )
    assert await probe.wait() == status


async def test_settings_that_are_wrong_end_it_with_status_2() -> None:
    service = await start(UNREACHABLE_DATABASE, POOLS_MOOD="test")
    status, _, log = await service.ended()
    assert status == 2
    assert "POOLS_MODE" in log


async def test_a_port_that_is_taken_ends_it_with_status_1(service: Service, postgres: RunningPostgres) -> None:
    second = await start(await postgres.empty_database("quote"), POOLS_GRPC_LISTEN=service.rpc)
    status, _, log = await second.ended()
    assert status == 1
    assert f"cannot listen on {service.rpc}" in log
