"""Mutual TLS between services: bad certificates get nowhere and it is said why, new ones are taken up while serving."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from poolctl.certificate_files import CA, CERTIFICATE, KEY
from poolctl.certificates import Authority
from poolkit.errors import Internal, Unavailable
from poolkit.rpc import handshakes
from poolkit.rpc.certificates import Certificates, CertificatesUnusable
from poolkit.rpc.channels import open_channel
from poolkit.rpc.colleagues import Colleagues
from poolkit.rpc.repeats import Repeats
from poolkit.rpc.server import RpcServer
from poolkit.runtime import Runtime
from poolkit.settings import ServiceSettings
from pools.quote.v1 import quote_pb2, quote_pb2_grpc
from pools_contracts.quote import QuoteClient
from tests.integration.poolkit.identities import HOUR, Identities, at, by_common_name
from tests.integration.poolkit.quotes import SERVICE, Quotes
from tests.waiting import eventually

REQUEST = quote_pb2.GetQuotesRequest()
BAD = {
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "of another CA": "unable to get local issuer certificate",
    "self-signed": "self signed certificate",
}


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    return Identities(tmp_path_factory.mktemp("identities"))


def callers(path: str) -> frozenset[bytes]:
    """The rule of the server in these tests."""
    return frozenset({b"gateway"})


@asynccontextmanager
async def quote_service(certificates: Certificates) -> AsyncIterator[tuple[RpcServer, list[int]]]:
    """A quote service, and the serial numbers of the certificates that its calls came with."""
    serials: list[int] = []

    async def note(request: Any, context: Any) -> quote_pb2.GetQuotesResponse:
        [pem] = context.auth_context()["x509_pem_cert"]
        serials.append(x509.load_pem_x509_certificate(pem).serial_number)
        return quote_pb2.GetQuotesResponse()

    server = RpcServer("127.0.0.1:0", name="tests", credentials=certificates.server_credentials(), callers=callers)
    server.add(quote_pb2_grpc.add_QuoteServiceServicer_to_server, Quotes(note), SERVICE)
    await server.start()
    try:
        yield server, serials
    finally:
        await server.stop(0)


async def ask(server: RpcServer, certificates: Certificates | None) -> None:
    """One call of somebody who expects the quote service."""
    channel = open_channel(f"127.0.0.1:{server.port}", "gateway", callee="quote", certificates=certificates)
    async with QuoteClient(channel) as client:
        await client.quote.GetQuotes(REQUEST, timeout=5)


async def refused(server: RpcServer, certificates: Certificates | None) -> dict[str, Any]:
    """What the client's log says of a call that gets no connection, whatever it has said of others a moment ago."""
    handshakes._told = Repeats()
    with capture_logs() as logs, pytest.raises(Unavailable):
        await ask(server, certificates)
    [told] = [line for line in logs if line["event"] == "colleague_not_trusted"]
    return dict(told)


@pytest.mark.parametrize("kind", BAD)
async def test_a_server_with_a_bad_certificate_is_not_called(identities: Identities, kind: str) -> None:
    async with quote_service(identities.make_bad(kind, "quote")) as (server, serials):
        told = await refused(server, identities.make("gateway"))
    assert BAD[kind] in told["details"]
    assert f"127.0.0.1:{server.port}" in told["details"]
    assert serials == []


async def test_a_server_that_is_somebody_else_is_not_called(identities: Identities) -> None:
    async with quote_service(identities.make("trade")) as (server, serials):
        told = await refused(server, identities.make("gateway"))
    assert "another name" in told["why"]
    assert serials == []


async def test_a_server_without_tls_is_not_called(identities: Identities) -> None:
    server = RpcServer("127.0.0.1:0", name="tests")
    await server.start()
    told = await refused(server, identities.make("gateway"))
    await server.stop(0)
    assert "does not speak TLS" in told["why"]


async def test_a_caller_with_a_bad_certificate_or_none_gets_no_connection(identities: Identities) -> None:
    async with quote_service(identities.make("quote")) as (server, serials):
        for kind in BAD:
            told = await refused(server, identities.make_bad(kind, "gateway"))
            assert "refuses it" in told["why"], kind
        with pytest.raises(Unavailable):
            await ask(server, None)
        nothing = grpc.ssl_channel_credentials(identities.make("gateway").identity.ca)
        options = [("grpc.ssl_target_name_override", "quote")]
        async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", nothing, options) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(f"/{SERVICE}/GetQuotes")(b"", timeout=5)
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert serials == []
        await ask(server, identities.make("gateway"))
        assert len(serials) == 1


async def test_a_caller_who_is_not_on_the_list_is_told_so_and_its_own_callers_are_not(identities: Identities) -> None:
    async with quote_service(identities.make("quote")) as (server, serials):
        with capture_logs() as logs, pytest.raises(Internal) as masked:
            await ask(server, identities.make("trade"))
    [at_server] = [line for line in logs if line["event"] == "caller_refused"]
    [at_client] = [line for line in logs if line["event"] == "refused_as_caller"]
    assert (at_server["caller"], at_server["rpc"]) == ("trade", f"{SERVICE}/GetQuotes")
    assert f"trade may not call {SERVICE}/GetQuotes." in at_client["why"]
    assert "trade" not in masked.value.message
    assert serials == []


async def test_a_common_name_alone_makes_nobody_a_caller(identities: Identities) -> None:
    ca = identities.make("gateway").identity.ca
    credentials = grpc.ssl_channel_credentials(ca, *by_common_name(identities.authority, "gateway"))
    options = [("grpc.ssl_target_name_override", "quote")]
    async with quote_service(identities.make("quote")) as (server, serials):
        async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials, options) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(f"/{SERVICE}/GetQuotes")(b"", timeout=5)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "a caller without a name may not call" in (refused.value.details() or "")
    assert serials == []


async def test_a_new_certificate_that_nobody_accepts_breaks_nothing(tmp_path: Path) -> None:
    identities = Identities(tmp_path)
    quote, gateway = identities.make("quote"), identities.make("gateway")
    own = gateway.identity
    async with quote_service(quote) as (server, serials):
        colleagues = Colleagues("gateway", gateway, look_seconds=0.01)
        client = QuoteClient(colleagues.channel(f"127.0.0.1:{server.port}", QuoteClient.service))
        await client.quote.GetQuotes(REQUEST)
        with capture_logs() as logs:
            watch = asyncio.create_task(colleagues.watch())
            Authority.make().issue(tmp_path / "gateway", "gateway", lives=HOUR)
            replace(tmp_path / "gateway" / CA, own.ca)

            def told() -> bool:
                return any(line["event"] == "channel_not_renewed" for line in logs)

            await eventually(told, "the new certificate is tried")
        await client.quote.GetQuotes(REQUEST)
        assert len(set(serials)) == 1
        good = identities.make("gateway").identity.certificates
        wanted = x509.load_pem_x509_certificate(good).serial_number

        async def renewed() -> bool:
            await client.quote.GetQuotes(REQUEST)
            return serials[-1] == wanted

        await eventually(renewed, "a good one is taken up")
        watch.cancel()
        await colleagues.close()


async def test_new_certificates_are_taken_up_by_both_sides_without_a_failed_call(tmp_path: Path) -> None:
    identities = Identities(tmp_path)
    quote, gateway = identities.make("quote"), identities.make("gateway")
    async with quote_service(quote) as (server, serials):
        colleagues = Colleagues("gateway", gateway, look_seconds=0.01)
        client = QuoteClient(colleagues.channel(f"127.0.0.1:{server.port}", QuoteClient.service))
        watch = asyncio.create_task(colleagues.watch())
        over = asyncio.Event()

        async def call_all_the_time() -> None:
            while not over.is_set():
                await client.quote.GetQuotes(REQUEST)

        calling = asyncio.gather(*(call_all_the_time() for _ in range(8)))
        await eventually(lambda: len(serials) > 20, "calls are answered")
        # The CA too: first both are trusted, then everybody has a certificate of the new one, then the old one is gone.
        new = Authority.make()
        old_ca, new_ca = quote.identity.ca, new.certificate.public_bytes(Encoding.PEM)
        for name, certificates in (("quote", quote), ("gateway", gateway)):
            replace(tmp_path / name / CA, old_ca + new_ca)
            await eventually(took_up(certificates, lambda identity: identity.ca == old_ca + new_ca), "both CAs")
        for name, certificates in (("quote", quote), ("gateway", gateway)):
            issuer = certificates.identity.certificates
            new.issue(tmp_path / name, name, lives=HOUR)
            await eventually(took_up(certificates, lambda identity, was=issuer: identity.certificates != was), "new")
        current = x509.load_pem_x509_certificate(gateway.identity.certificates).serial_number
        await eventually(lambda: serials[-1] == current, "calls come with the new certificate")
        over.set()
        await calling
        assert not calling.exception()
        assert len(set(serials)) >= 2

        with pytest.raises(Unavailable):
            await ask(server, identities.make("gateway of before"))
        await ask(server, gateway)
        watch.cancel()
        await colleagues.close()


def replace(file: Path, content: bytes) -> None:
    partial = file.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(file)


def took_up(certificates: Certificates, what: Callable[..., bool]) -> Callable[[], bool]:
    """Whether somebody has looked at the files since."""

    def looked() -> bool:
        certificates.look()
        return what(certificates.identity)

    return looked


async def test_files_that_do_not_fit_leave_the_identity_before_in_force(tmp_path: Path) -> None:
    identities = Identities(tmp_path)
    gateway = identities.make("gateway")
    before, version = gateway.identity, gateway.version
    identities.make("other")
    with capture_logs() as logs:
        shutil.copy(tmp_path / "other" / KEY, tmp_path / "gateway" / KEY)
        assert [gateway.look(), gateway.look()] == [version, version]
        (tmp_path / "gateway" / CERTIFICATE).unlink()
        assert [gateway.look(), gateway.look()] == [version, version]
    assert gateway.identity is before
    words = [line["why"] for line in logs if line["event"] == "certificates_not_usable"]
    assert len(words) == 2
    assert "is not the key of the certificate in" in words[0]
    assert "cannot be read" in words[1]
    shutil.copy(tmp_path / "other" / CERTIFICATE, tmp_path / "gateway" / CERTIFICATE)
    assert gateway.look() == version + 1
    assert gateway.identity.names == ("other",)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        (CERTIFICATE, b"nothing", "holds no certificate in PEM"),
        (CA, b"", "holds no certificate in PEM"),
        (KEY, b"nothing", "holds no private key in PEM"),
        (KEY, None, "cannot be read"),
    ],
    ids=["certificate", "CA", "key", "missing"],
)
def test_files_that_prove_nothing_are_refused_at_the_start(
    tmp_path: Path, file: str, content: bytes | None, sentence: str
) -> None:
    Identities(tmp_path).make("gateway")
    place = tmp_path / "gateway" / file
    place.unlink() if content is None else place.write_bytes(content)
    with pytest.raises(CertificatesUnusable, match=sentence):
        at(tmp_path / "gateway")


async def test_a_service_whose_certificate_is_missing_does_not_begin(tmp_path: Path) -> None:
    files = {f"tls_{name}_file": tmp_path / "missing.pem" for name in ("certificate", "key", "ca")}
    settings = ServiceSettings(mode="test", database_url="postgresql://a:b@127.0.0.1:1/none", **files)
    with pytest.raises(CertificatesUnusable, match=f"{tmp_path}/missing.pem cannot be read"):
        Runtime("quote", settings)


def test_an_identity_shows_no_key(identities: Identities) -> None:
    assert "PRIVATE KEY" not in repr(identities.make("gateway").identity)
