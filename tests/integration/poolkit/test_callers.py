"""Who may call what: every caller on every method of every service, over mutual TLS, and nobody else gets in."""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory

import pools
from poolkit.rpc.callers import ALLOWED, CALLERS, SANDBOX, allowed_callers
from poolkit.rpc.certificates import Certificates
from poolkit.rpc.server import RpcServer
from pools_contracts.policies import POLICIES
from tests.integration.poolkit.identities import Identities

STRANGER = "stranger"
NAME = "every-service"


def contracts() -> Iterator[tuple[Any, Any]]:
    """The descriptor of every RPC service, and its generated adder."""
    for module in pkgutil.walk_packages(pools.__path__, "pools."):
        if module.name.endswith("_pb2"):
            stubs = importlib.import_module(f"{module.name}_grpc")
            for service in importlib.import_module(module.name).DESCRIPTOR.services_by_name.values():
                yield service, getattr(stubs, f"add_{service.name}Servicer_to_server")


class Anything:
    """Answers every method of a service with nothing in it, and counts what got as far as that."""

    def __init__(self, service: Any, reached: list[str]) -> None:
        for method in service.methods:
            setattr(self, method.name, self._answering(service.full_name, method, reached))

    def _answering(self, service: str, method: Any, reached: list[str]) -> Any:
        answer = message_factory.GetMessageClass(method.output_type)

        async def unary(request: Any, context: Any) -> Any:
            reached.append(f"{service}/{method.name}")
            return answer()

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            reached.append(f"{service}/{method.name}")
            yield answer()

        return stream if method.server_streaming else unary


class House:
    """One server that serves everything, and callers with certificates."""

    def __init__(self, server: RpcServer, identities: Identities, reached: list[str]) -> None:
        self._server = server
        self._identities = identities
        self.reached = reached

    async def outcomes(self, caller: str) -> dict[str, tuple[grpc.StatusCode, str]]:
        """What a caller gets from each method."""
        certificates: Certificates = self._identities.make(caller)
        channel = grpc.aio.secure_channel(
            f"127.0.0.1:{self._server.port}",
            certificates.channel_credentials(),
            options=[("grpc.ssl_target_name_override", NAME)],
        )
        async with channel:
            return {path: await outcome(channel, path, streams=streams) for path, streams in METHODS.items()}


async def outcome(channel: grpc.aio.Channel, path: str, *, streams: bool) -> tuple[grpc.StatusCode, str]:
    """The status of one call."""
    call: Any = (channel.unary_stream if streams else channel.unary_unary)(f"/{path}")(b"", timeout=5)
    try:
        if streams:
            assert len([answer async for answer in call]) == 1
        else:
            await call
    except grpc.aio.AioRpcError as refused:
        return refused.code(), refused.details() or ""
    return grpc.StatusCode.OK, ""


METHODS = {
    f"{service.full_name}/{method.name}": method.server_streaming
    for service, _ in contracts()
    for method in service.methods
}


def house_rule(mode: str) -> Any:
    return lambda path: allowed_callers(path, mode)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    identities = Identities(tmp_path_factory.mktemp("identities"))
    reached: list[str] = []
    credentials = identities.make(NAME).server_credentials()
    server = RpcServer("127.0.0.1:0", name="tests", credentials=credentials, callers=house_rule("test"))
    for service, adder in contracts():
        server.add(adder, Anything(service, reached), service.full_name)
    await server.start()
    yield House(server, identities, reached)
    await server.stop(0)


def test_the_table_speaks_of_every_rpc_service_and_of_nothing_else() -> None:
    assert {path for path in ALLOWED if "/" not in path} == set(POLICIES)
    assert {path for path in ALLOWED if "/" in path} <= set(METHODS)
    assert {caller for callers in ALLOWED.values() for caller in callers} <= CALLERS


@pytest.mark.parametrize("caller", [*sorted(CALLERS), STRANGER])
async def test_a_caller_is_served_what_the_table_allows_and_nothing_else_begins(house: House, caller: str) -> None:
    house.reached.clear()
    outcomes = await house.outcomes(caller)
    allowed = {path for path in METHODS if caller in ALLOWED.get(path, ALLOWED[path.partition("/")[0]])}
    assert {path for path, (code, _) in outcomes.items() if code is grpc.StatusCode.OK} == allowed
    assert set(house.reached) == allowed
    refusals = {path: told for path, told in outcomes.items() if path not in allowed}
    assert {code for code, _ in refusals.values()} == {grpc.StatusCode.PERMISSION_DENIED}
    assert all(f"{caller} may not call {path}." in sentence for path, (_, sentence) in refusals.items())


def test_the_sandbox_is_served_nothing_where_money_is_real() -> None:
    live = {path for path in METHODS if SANDBOX.encode() in allowed_callers(f"/{path}", "live")}
    assert live == set()
    assert allowed_callers("/pools.quote.v1.QuoteService/ConsumeQuotes", "live") == {b"trade"}


def test_a_service_that_the_table_does_not_know_serves_nobody() -> None:
    assert allowed_callers("/pools.new.v1.NewService/DoAnything", "test") == frozenset()
