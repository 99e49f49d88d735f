"""The gateway and the services behind it, each with its own database and ports, running inside the test's own loop."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.domain.entitlement import Entitlement, EntitlementChange, EntitlementStatus, KeyKind, KycStatus
from gateway.main import Colleagues, build_internal_api, build_partner_api
from gateway.main import build as build_gateway
from gateway.settings import GatewaySettings
from gateway.store import access
from gateway.store.keys import insert_key
from poolctl.stack.ports import free_port
from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.rpc.channels import open_channel
from poolkit.security import hash_key, new_api_key, new_encryption_key
from poolkit.service import Runtime
from poolkit.settings import ServiceSettings
from pools.quote.v1 import quote_pb2
from pools.types.v1 import types_pb2
from pools_contracts.gateway import GatewayClient
from pools_contracts.quote import QuoteClient
from quote.main import build as build_quote
from quote.settings import QuoteSettings
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.cable import Cable

PEPPER = "a pepper that only tests know"
TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00"
ALL_POOLS = ("EUR-USDC", "EUR-USDT", "GBP-USDT", "USD-USDT")
POOLS = ALL_POOLS[:3]
"""What a partner may use unless a test says otherwise."""

S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True)
class Partner:
    """An organization with its keys."""

    organization_id: str
    secret_key: str
    publishable_key: str
    funding_references: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def running(
    service: str, settings: S, build: Callable[[Runtime[S]], Awaitable[None]]
) -> AsyncIterator[Runtime[S]]:
    """The service in this loop, stopped in its own order at the end."""
    runtime = Runtime(service, settings)
    try:
        await runtime.start(build)
        yield runtime
    finally:
        await runtime.stop()


class RunningGateway:
    """A gateway that takes calls, with what a test needs to look behind it."""

    def __init__(self, runtime: Runtime[GatewaySettings], admin_database: Database) -> None:
        self.runtime = runtime
        self.database = admin_database
        settings = runtime.settings
        self.rest = f"http://{settings.partner_rest_listen}"
        self.partner = GatewayClient(open_channel(settings.partner_grpc_listen, "test"))
        self.internal = GatewayClient(open_channel(settings.grpc_listen, "test"))

    async def close(self) -> None:
        """Closes what the test has opened, not the service."""
        await self.partner.close()
        await self.internal.close()
        await self.database.close()

    async def new_partner(
        self, change: EntitlementChange | None = None, *, entitled: bool = True, entitled_in: str = ""
    ) -> Partner:
        """An organization written straight into the tables, which needs no colleague; entitled in the gateway's mode
        unless told otherwise."""
        organization_id, mode = new_id("org"), self.runtime.mode
        own = CallContext("req_test", organization_id, mode, TRACEPARENT)
        entitlement = Entitlement(
            organization_id,
            entitled_in or mode,
            EntitlementStatus.ACTIVE,
            KycStatus.APPROVED,
            "standard",
            POOLS,
            off_ramp_enabled=False,
            balance_gate_enabled=True,
        )
        keys: dict[KeyKind, str] = {
            kind: new_api_key(kind.value, "live" if mode == "live" else "test") for kind in KeyKind
        }
        async with self.database.transaction() as unit:
            await access.insert_organization(unit, own, "Test")
            if entitled:
                await access.write_entitlement(unit, own, entitlement.changed(change or EntitlementChange()))
            for kind, key in keys.items():
                await insert_key(
                    unit,
                    own,
                    key_id=new_id("key"),
                    kind=kind,
                    label=f"{kind.name.lower()} key",
                    key_hash=hash_key(key, PEPPER.encode()),
                )
            await unit.commit()
        return Partner(organization_id, keys[KeyKind.SECRET], keys[KeyKind.PUBLISHABLE])


def settings_of(url: str, bootstrap: str, **others: Any) -> dict[str, Any]:
    """What every service is told."""
    return {
        "mode": "test",
        "database_url": url,
        "kafka_bootstrap": bootstrap,
        "drain_seconds": 3.0,
        "grpc_listen": f"127.0.0.1:{free_port()}",
        **others,
    }


async def start_quote(stack: AsyncExitStack, postgres: RunningPostgres, bootstrap: str) -> tuple[str, QuoteClient]:
    """The quote service with the sandbox's pools, inventory and fresh rates: its address, and a client."""
    url = await postgres.fresh_database("quote")
    settings = QuoteSettings(**settings_of(url, bootstrap))
    await stack.enter_async_context(running("quote", settings, build_quote))
    client = QuoteClient(open_channel(settings.grpc_listen, "test"))
    stack.push_async_callback(client.close)
    await move_treasury(
        client, *[(pool_id, "1000000", currency) for pool_id in ALL_POOLS for currency in pool_id.split("-")]
    )
    await publish_rates(client)
    return settings.grpc_listen, client


async def move_treasury(client: QuoteClient, *moved: tuple[str, str, str]) -> None:
    """Amounts of currencies into pools, or out of them where negative."""
    context = types_pb2.RequestContext(request_id="req_test", mode=types_pb2.MODE_TEST, traceparent=TRACEPARENT)
    movements = [
        quote_pb2.TreasuryMovement(
            context=context,
            movement_id=f"{pool_id} {amount} {currency}",
            pool_id=pool_id,
            amount=types_pb2.Money(amount=amount, currency=currency),
        )
        for pool_id, amount, currency in moved
    ]
    response = await client.admin.MoveTreasury(quote_pb2.MoveTreasuryRequest(movements=movements))
    assert all(result.HasField("inventory") for result in response.results)


async def publish_rates(client: QuoteClient, *pool_ids: str, rate: str = "1.085000") -> None:
    """Fresh rates, good for a minute."""
    rates = [quote_pb2.Rate(pool_id=pool_id, rate=rate) for pool_id in pool_ids or ALL_POOLS]
    for one in rates:
        one.as_of_time.GetCurrentTime()
    await client.admin.PublishRates(quote_pb2.PublishRatesRequest(rates=rates))


async def build_without_events(runtime: Runtime[GatewaySettings]) -> None:
    """The gateway but for what it does with the broker."""
    colleagues = Colleagues(runtime)
    await build_partner_api(runtime, colleagues)
    build_internal_api(runtime, colleagues)


async def start_gateway(
    stack: AsyncExitStack,
    postgres: RunningPostgres,
    bootstrap: str = "",
    *,
    through: Cable | None = None,
    beside: RunningGateway | None = None,
    **addresses: Any,
) -> RunningGateway:
    """A gateway with a database of its own, or another replica beside one that runs. A colleague without an address is
    out of reach. Without a broker it takes no events: of two gateways on one broker each would get a part of the
    other's."""
    if beside is None:
        url = await postgres.fresh_database("gateway")
    else:
        url = beside.runtime.settings.database_url.get_secret_value()
    nowhere = f"127.0.0.1:{free_port()}"
    colleagues = ("quote_address", "trade_address", "ledger_address", "webhook_ingest_address")
    if through is not None:
        stack.push_async_callback(through.pull_out)
    settings = GatewaySettings(
        **settings_of(
            url if through is None else await through.to(url),
            bootstrap or nowhere,
            partner_grpc_listen=f"127.0.0.1:{free_port()}",
            partner_rest_listen=f"127.0.0.1:{free_port()}",
            key_pepper=PEPPER,
            encryption_key=new_encryption_key(),
            **{"allow_private_endpoints": True, **dict.fromkeys(colleagues, nowhere), **addresses},
        )
    )
    runtime = await stack.enter_async_context(
        running("gateway", settings, build_gateway if bootstrap else build_without_events)
    )
    gateway = RunningGateway(runtime, Database(postgres.admin_url(url), application_name="test", pool_size=2))
    stack.push_async_callback(gateway.close)
    return gateway
