"""A stack with mutual TLS as a person uses it: remembered, certificates renewed while it works, strangers kept out."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from poolctl.partner_api import PartnerApi
from poolctl.session import Addresses, Session, internal_channel, running_stack
from poolctl.stack.layout import Layout
from poolkit.errors import Internal
from pools.quote.v1 import quote_pb2
from pools_contracts.quote import QuoteClient, connect
from tests.e2e.commands import Poolctl
from tests.waiting import eventually

REQUEST = quote_pb2.ListPoolsRequest()


@pytest.fixture
async def directory(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    made = tmp_path_factory.mktemp("mtls")
    yield made
    await Poolctl(made)("down")
    shutil.rmtree(made)


def renewals(directory: Path) -> dict[str, int]:
    """How many times each program that calls others has moved its calls to a new connection."""
    logs = {
        name: Layout.at(directory).log(name) for name in ("gateway", "trade", "webhook-ingest", "ledger", "sandbox")
    }
    return {name: log.read_text().count('"channel_renewed"') for name, log in logs.items()}


@pytest.mark.long
async def test_certificates_are_renewed_while_partners_trade_and_the_choice_is_remembered(directory: Path) -> None:
    poolctl = Poolctl(directory)
    up = await poolctl("up", "--mtls", "--detach", "--json", seconds=120)
    assert up.status == 0, up.stderr
    addresses = Addresses.of(up.document)
    partner = await poolctl.answer("partner", "create", "--name", "Corner shop")
    await poolctl.answer("payin", partner["organizationId"], "--currency", "EUR", "--amount", "1000.00")

    async with PartnerApi(addresses.rest, partner["secretKey"]) as api:
        over = asyncio.Event()
        quoted: list[Any] = []

        async def price_all_the_time() -> None:
            body = {
                "side": "on_ramp",
                "amount": "1.00",
                "amountCurrency": "EUR",
                "network": "tron",
                "type": "indicative",
            }
            while not over.is_set():
                quote = await api.create_quote("EUR-USDT", {**body, "destinationAddress": "T" * 33})
                assert quote["available"], quote
                quoted.append(quote)

        pricing = asyncio.gather(*(price_all_the_time() for _ in range(4)))
        await eventually(lambda: len(quoted) > 20, "prices are given")
        before = renewals(directory)
        await poolctl.answer("certs")
        wanted = {"gateway": 4, "trade": 2, "webhook-ingest": 2, "ledger": 3, "sandbox": 2}

        def all_moved() -> bool:
            now = renewals(directory)
            return {name: now[name] - before[name] for name in now} == wanted

        await eventually(all_moved, "every channel is renewed", seconds=60)
        many = len(quoted)
        await eventually(lambda: len(quoted) > many + 20, "prices are given over the new connections")
        over.set()
        await pricing

    async with connect(addresses.services["quote"], caller="stranger") as stranger:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stranger.quote.ListPools(REQUEST)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    async with QuoteClient(internal_channel(addresses, "quote", identity="ledger")) as ledger:
        with pytest.raises(Internal):
            await ledger.quote.ListPools(REQUEST)
    quote_log = Layout.at(directory).log("quote").read_text()
    assert "Handshake failed" in quote_log
    assert '"caller": "ledger"' in quote_log

    await poolctl("down")
    assert (await poolctl("up", "--detach", seconds=120)).status == 0
    async with Session(running_stack(directory)) as session:
        assert (await session.quote.admin.ListInventory(quote_pb2.ListInventoryRequest())).inventory
    await poolctl("down")
    assert (await poolctl("up", "--no-mtls", "--detach", seconds=120)).status == 0
    async with connect(running_stack(directory).services["quote"]) as anybody:
        assert (await anybody.quote.ListPools(REQUEST)).pools
