"""The stack to measure on, with partners that have money, and quotes that live long enough to be measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import grpc

from poolctl.payin import pay_in
from poolctl.session import Addresses, Session
from poolctl.stack import Stack
from pools.gateway.v1 import admin_pb2, partner_pb2, partner_pb2_grpc
from pools.ledger.v1 import ledger_pb2
from pools.types.v1 import types_pb2
from tests.waiting import eventually

PARTNERS = 8
FUNDS = "10000000.00"
AMOUNT = "10.00"
STUCK = "TQbenchbenchbenchbenchbenchbe0005"
"""A destination whose settlement never reports: transact is measured by itself, journeys are measured apart."""
COMMIT_TIMES = "track_commit_timestamp = on"
"""PostgreSQL notes when each transaction committed."""
SETTLED = "TQbenchbenchbenchbenchbenchbe0001"


@dataclass(frozen=True, slots=True)
class Partner:
    """An organization that calls."""

    organization_id: str
    secret_key: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each of its gRPC calls carries."""
        return (("authorization", f"Bearer {self.secret_key}"),)


@dataclass(slots=True)
class Stand:
    """A running stack and the ways into it."""

    stack: Stack
    addresses: dict[str, Any]
    partners: Sequence[Partner]
    grpc_partner: Any
    http: aiohttp.ClientSession
    owner_of: dict[str, Partner] = field(default_factory=dict)
    """Whose each quote is."""

    @contextlib.contextmanager
    def sandbox_standing_still(self) -> Iterator[None]:
        """Stops the sandbox for some seconds; more than six cost it its place in the consumer group."""
        sandbox = self.stack.part("sandbox").process
        sandbox.send(signal.SIGSTOP)
        try:
            yield
        finally:
            sandbox.send(signal.SIGCONT)

    async def make_quotes(self, count: int, *, destination: str = STUCK, in_flight: int = 128) -> list[str]:
        """Firm quotes, spread over the partners."""
        numbers = iter(range(count))
        quotes: list[str] = []

        async def caller() -> None:
            for number in numbers:
                partner = self.partners[number % len(self.partners)]
                quote_id = await self.quote(partner, destination, f"bench-{number}")
                self.owner_of[quote_id] = partner
                quotes.append(quote_id)

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return quotes

    async def quote(self, partner: Partner, destination: str, client_reference: str) -> str:
        """One firm quote over gRPC."""
        answer = await self.grpc_partner.CreateQuote(
            partner_pb2.CreateQuoteRequest(
                pool_id="EUR-USDT",
                side=types_pb2.SIDE_ON_RAMP,
                amount=types_pb2.Money(amount=AMOUNT, currency="EUR"),
                network="tron",
                destination_address=destination,
                client_reference=client_reference,
            ),
            metadata=partner.metadata,
        )
        if not answer.quote.available:
            raise RuntimeError(f"no quote: {answer.quote.unavailable_reason}")
        return str(answer.quote.quote_id)

    async def transact(self, quote_id: str) -> str:
        """Accepts a quote over gRPC; the trade's id."""
        answer = await self.grpc_partner.TransactQuote(
            partner_pb2.TransactQuoteRequest(pool_id="EUR-USDT", quote_id=quote_id),
            metadata=(*self.owner_of[quote_id].metadata, ("idempotency-key", quote_id)),
        )
        return str(answer.trade.transact_id)

    async def transact_rest(self, quote_id: str) -> None:
        """Accepts a quote over REST."""
        headers = {
            "Authorization": f"Bearer {self.owner_of[quote_id].secret_key}",
            "Idempotency-Key": quote_id,
        }
        url = f"{self.addresses['rest']}/v1/pools/EUR-USDT/transact"
        async with self.http.post(url, json={"quoteId": quote_id}, headers=headers) as response:
            body = await response.read()
            if response.status != 200:
                raise RuntimeError(f"transact answered {response.status}: {body!r}")


@contextlib.asynccontextmanager
async def stand(
    database_settings: Sequence[str] = (COMMIT_TIMES,), environment: Mapping[str, Mapping[str, str]] | None = None
) -> AsyncIterator[Stand]:
    """Starts a stack of its own in a temporary directory, provisions it, and takes it down again.

    `environment` is added to that of each program, by name.
    """
    with tempfile.TemporaryDirectory(prefix="pools-bench-") as directory:
        await _set_up_database(Path(directory), database_settings)
        stack = Stack(Path(directory), environment=environment)
        addresses = await stack.start()
        try:
            await _let_quotes_live(addresses["adminDatabases"]["quote"])
            partners = [await _partner(Addresses.of(addresses), number) for number in range(PARTNERS)]
            channel = grpc.aio.insecure_channel(addresses["grpc"])
            async with channel, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                yield Stand(stack, addresses, partners, partner_pb2_grpc.PartnerServiceStub(channel), http)
        finally:
            await stack.stop()


@contextlib.asynccontextmanager
async def floor(database_url: str) -> AsyncIterator[Any]:
    """Runs the floor as a process of its own and gives its method."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Bare: gRPC as it comes, without what poolkit sets for it.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.floor", database_url, str(port), env=bare
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
            yield channel.unary_unary(
                "/pools.bench.Floor/TransactQuote",
                request_serializer=partner_pb2.TransactQuoteRequest.SerializeToString,
                response_deserializer=partner_pb2.TransactQuoteResponse.FromString,
            )
    finally:
        process.terminate()
        await process.wait()


async def _set_up_database(directory: Path, settings: Sequence[str]) -> None:
    """Settings of PostgreSQL's, some of which take a restart to begin with."""
    stack = Stack(directory)
    await stack.start()
    try:
        connection = await asyncpg.connect(stack.postgres.url())
        for setting in settings:
            await connection.execute(f"ALTER SYSTEM SET {setting}")
        await connection.close()
    finally:
        await stack.stop()


async def _let_quotes_live(admin_url: str) -> None:
    """Thousands of quotes are made before the clock runs: they must not expire, nor be too many, meanwhile."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("UPDATE pools SET quote_ttl_ms = 3600000")
        await connection.execute("UPDATE pool_tiers SET active_quotes_max = 1000000")
    finally:
        await connection.close()


async def _partner(addresses: Addresses, number: int) -> Partner:
    async with Session(addresses) as session:
        made = await session.gateway.admin.CreateOrganization(
            admin_pb2.CreateOrganizationRequest(name=f"bench {number}")
        )
        await pay_in(session, made.organization_id, currency="EUR", amount=FUNDS)
        item = ledger_pb2.GetBalancesItem(
            context=types_pb2.RequestContext(organization_id=made.organization_id, mode=types_pb2.MODE_TEST),
            currency="EUR",
        )

        async def funded() -> bool:
            answer = await session.ledger.ledger.GetBalances(ledger_pb2.GetBalancesRequest(items=[item]))
            return bool(answer.balances[0].available.amount == FUNDS)

        await eventually(funded, f"the pay-in of {made.organization_id} is booked")
    return Partner(made.organization_id, made.secret_key)
