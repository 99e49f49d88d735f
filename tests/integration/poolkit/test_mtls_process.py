"""A service in mode live as its own process: it asks everybody for a certificate, and its log tells who had none."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from poolkit.errors import Internal, Unavailable
from poolkit.rpc.certificates import Certificates
from poolkit.rpc.channels import open_channel, open_inner
from pools.quote.v1 import quote_pb2
from pools_contracts.quote import QuoteClient
from tests.integration.databases import RunningPostgres
from tests.integration.poolkit.identities import Identities
from tests.integration.poolkit.test_service import Service, start, until_ready

REQUEST = quote_pb2.GetQuotesRequest()


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    return Identities(tmp_path_factory.mktemp("identities"))


def told(folder: Path) -> dict[str, str]:
    """The variables that name the files of a folder."""
    names = {"CERTIFICATE": "tls.crt", "KEY": "tls.key", "CA": "ca.crt"}
    return {f"POOLS_TLS_{name}_FILE": str(folder / file) for name, file in names.items()}


@pytest.fixture
async def service(postgres: RunningPostgres, identities: Identities) -> AsyncIterator[Service]:
    identities.make("quote")
    url = await postgres.empty_database("quote")
    running = await start(url, POOLS_MODE="live", **told(identities.folder / "quote"))
    await until_ready(running)
    yield running
    if running.process.returncode is None:
        running.process.kill()
        await running.process.wait()


async def ask(service: Service, certificates: Certificates | None) -> None:
    channel = open_channel(service.rpc, "gateway", callee="quote", certificates=certificates)
    async with QuoteClient(channel) as client:
        await client.quote.GetQuotes(REQUEST, timeout=5)


async def test_only_who_proves_to_be_on_the_list_is_served_and_the_log_tells_of_the_others(
    service: Service, identities: Identities
) -> None:
    gateway = identities.make("gateway")
    await ask(service, gateway)
    with pytest.raises(Internal):
        await ask(service, identities.make("webhook-ingest"))
    for kind in ("expired", "of another CA"):
        with pytest.raises(Unavailable):
            await ask(service, identities.make_bad(kind, "gateway"))
    with pytest.raises(Unavailable):
        await ask(service, None)

    # The kubelet has no certificate, and its port tells health alone.
    async with grpc.aio.insecure_channel(service.health) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=5)).status == 1
        assert await reflects(channel) is grpc.StatusCode.UNIMPLEMENTED
    async with open_inner(service.rpc, "gateway", callee="quote", certificates=gateway) as own:
        assert await reflects(own) is grpc.StatusCode.UNIMPLEMENTED

    service.process.terminate()
    _, [counted], log = await service.ended()
    assert counted["rpc"] == 1
    assert '"event": "certificate_in_force"' in log
    [refused] = [line for line in log.splitlines() if '"event": "caller_refused"' in line]
    assert '"caller": "webhook-ingest"' in refused
    for reason in ("certificate has expired", "unable to get local issuer certificate", "WRONG_VERSION_NUMBER"):
        assert any("Handshake failed" in line and reason in line for line in log.splitlines()), log


async def reflects(channel: grpc.aio.Channel) -> grpc.StatusCode:
    """What a client gets that asks which methods there are."""
    # As one message and one answer: a stream that is refused before it is written ends as INTERNAL now and then.
    method = channel.unary_unary(f"/{reflection.SERVICE_NAME}/ServerReflectionInfo")
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    try:
        assert await method(asked.SerializeToString(), timeout=5)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
