"""What surrounding a call costs on either side: `python -m tests.bench.calls [ROUNDS]`. The figures of ADRs 3 and 11.

The servers share one process and the clients another, and take turns, so that a busy machine is busy for all of them.
"""

import asyncio
import contextlib
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import structlog
import uvloop

from poolctl.certificate_files import files_in
from poolctl.certificates import issue_all
from poolkit.context import current_request_id
from poolkit.rpc.callers import allowed_callers
from poolkit.rpc.calls import Load, ServedMethod
from poolkit.rpc.certificates import Certificates
from poolkit.rpc.channels import open_channel, open_inner
from poolkit.rpc.server import SERVER_OPTIONS, RpcServer
from poolkit.telemetry.tracing import span
from pools.quote.v1 import quote_pb2, quote_pb2_grpc

CALLS, IN_FLIGHT = 1280, 64
LOOPS = 20_000
REQUEST = quote_pb2.GetQuotesRequest()
PAIRS = (("traceparent", f"00-{'a' * 32}-{'b' * 16}-00"), ("x-request-id", "req_01ARZ3NDEKTSV4RRFFQ69G5FAV"))
add = quote_pb2_grpc.add_QuoteServiceServicer_to_server


class Quotes(quote_pb2_grpc.QuoteServiceServicer):
    """Answers at once; asked for one item, it first times its own surroundings where nothing else gets in the way."""

    async def GetQuotes(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name in the proto
        if request.items:
            await asyncio.create_task(straight(context))
        return quote_pb2.GetQuotesResponse()


class Idle(grpc.aio.ServerInterceptor):
    """Does nothing."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        return await continuation(handler_call_details)


class IdleClient(grpc.aio.UnaryUnaryClientInterceptor):
    """Does nothing."""

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(client_call_details, request)


async def straight(context: Any) -> None:
    """Prints what the surroundings cost in a loop of nothing else, in microseconds."""

    async def handler(request: Any, context: Any) -> Any:
        return request

    served = ServedMethod("/tests.bench/Straight", Load(LOOPS), edge=False).unary(handler)
    spent = []
    for way in (handler, served):
        began = time.perf_counter()
        for _ in range(LOOPS):
            await way(None, context)
        spent.append((time.perf_counter() - began) / LOOPS * 1e6)
    print(f"straight {spent[1] - spent[0]:.1f}", flush=True)


def certificates(folder: Path, name: str) -> Certificates:
    """Who somebody is."""
    return Certificates(*files_in(folder / name))


async def serve(folder: Path) -> None:
    """Four servers in one process; answers each line with the CPU seconds used so far."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    servers: list[Any] = []
    ports: list[int] = []
    for interceptors in ([], [Idle()]):
        bare = grpc.aio.server(options=list(SERVER_OPTIONS), interceptors=interceptors)
        add(Quotes(), bare)
        ports.append(bare.add_insecure_port("127.0.0.1:0"))
        await bare.start()
        servers.append(bare)
    asked: dict[str, Any] = {
        "credentials": certificates(folder, "quote").server_credentials(),
        "callers": lambda path: allowed_callers(path, "live"),
    }
    for told in ({}, asked):
        ours = RpcServer("127.0.0.1:0", name="bench", **told)
        ours.add(add, Quotes())
        ports.append(await ours.start())
        servers.append(ours)
    print(*ports, flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(time.process_time(), flush=True)


@contextlib.asynccontextmanager
async def server_process(folder: Path) -> AsyncIterator[tuple[list[int], asyncio.subprocess.Process]]:
    """The process that `serve` runs in, and its ports."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.calls", "serve", str(folder), stdin=pipe, stdout=pipe
    )
    try:
        assert process.stdout is not None
        yield [int(port) for port in (await process.stdout.readline()).split()], process
    finally:
        process.kill()
        await process.wait()


async def measure(rounds: int, folder: Path) -> None:
    """Prints each way's CPU a call, and what it adds to the barest."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    issue_all(folder, ("gateway", "quote"))
    async with server_process(folder) as (ports, process):
        assert process.stdin is not None
        assert process.stdout is not None

        async def server_cpu() -> float:
            process.stdin.write(b"\n")
            return float(await process.stdout.readline())

        async def client_cpu() -> float:
            return time.process_time()

        bare, idle, ours, asking = (f"127.0.0.1:{port}" for port in ports)
        stub = quote_pb2_grpc.QuoteServiceStub
        raw = stub(grpc.aio.insecure_channel(bare))
        await raw.GetQuotes(quote_pb2.GetQuotesRequest(items=[quote_pb2.QuoteReference()]), metadata=PAIRS)
        print((await process.stdout.readline()).decode().strip(), "us for a served call's surroundings alone")

        def plain(to: Any) -> Callable[[], Awaitable[Any]]:
            return lambda: to.GetQuotes(REQUEST, timeout=2, metadata=PAIRS)

        own = stub(open_channel(bare, "bench"))
        intercepted = stub(grpc.aio.insecure_channel(bare, interceptors=[IdleClient()]))
        gateway = certificates(folder, "gateway")
        proven = stub(open_inner(asking, "bench", callee="quote", certificates=gateway))
        served = {
            "bare": plain(raw),
            "interceptor that does nothing": plain(stub(grpc.aio.insecure_channel(idle))),
            "RpcServer": plain(stub(grpc.aio.insecure_channel(ours))),
            "RpcServer, mutual TLS": plain(proven),
        }
        called = {
            "bare": plain(raw),
            "interceptor that does nothing": plain(intercepted),
            "poolkit's channel": lambda: own.GetQuotes(REQUEST),
            "mutual TLS": plain(proven),
        }
        current_request_id.set(PAIRS[1][1])
        with span("bench", traceparent=PAIRS[0][1]):
            report("server", await rounds_of(rounds, served, server_cpu))
            report("client", await rounds_of(rounds, called, client_cpu))


async def rounds_of(
    rounds: int, ways: dict[str, Callable[[], Awaitable[Any]]], cpu: Callable[[], Awaitable[float]]
) -> dict[str, list[float]]:
    """CPU microseconds a call of each way, round by round."""

    async def worker(call: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(CALLS // IN_FLIGHT):
            await call()

    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, call in ways.items():
            before = await cpu()
            await asyncio.gather(*(worker(call) for _ in range(IN_FLIGHT)))
            spent[name].append((await cpu() - before) / CALLS * 1e6)
    # The first round warms up.
    return {name: values[1:] for name, values in spent.items()}


def report(side: str, spent: dict[str, list[float]]) -> None:
    """Medians, and the median of the differences round by round."""
    barest = next(iter(spent.values()))
    for name, values in spent.items():
        more = statistics.median(value - base for value, base in zip(values, barest, strict=True))
        print(f"{side}  {name:30s} {statistics.median(values):6.1f} us a call, {more:+6.1f}, least {min(values):6.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(Path(sys.argv[2])))
    else:
        with tempfile.TemporaryDirectory() as made:
            uvloop.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20, Path(made)))
