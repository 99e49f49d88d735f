"""Owns how a command talks to a running stack: where it is, over which channels, under which request id."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from poolctl import deployment
from poolctl.command_logs import log_to_stderr
from poolctl.failure import CommandFailure
from poolctl.stack.layout import Layout
from poolctl.stack.lock import StackLock
from poolctl.stack.mtls import certificates_of
from poolctl.stack.state import StackState
from poolkit.context import current_request_id
from poolkit.errors import DomainError, Internal
from poolkit.ids import new_id
from poolkit.rpc.callers import OPERATOR
from poolkit.rpc.channels import Channel, open_channel
from pools.types.v1 import types_pb2
from pools_contracts.gateway import GatewayClient
from pools_contracts.ledger import LedgerClient
from pools_contracts.quote import QuoteClient
from pools_contracts.trade import TradeClient
from pools_contracts.webhook_ingest import WebhookIngestClient

T = TypeVar("T")
_CALLER = "poolctl"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a stack's parts listen; the document of `poolctl up --json`, typed."""

    rest: str
    grpc: str
    webhooks: str
    services: dict[str, str]
    databases: dict[str, str]
    admin_databases: dict[str, str]
    kafka: str
    data_dir: Path
    mode: str = "test"
    """A stack on one machine is always for testing; a deployment may be `live`."""

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """Reads the document."""
        return cls(
            rest=document["rest"],
            grpc=document["grpc"],
            webhooks=document["webhooks"],
            services=document["services"],
            databases=document["databases"],
            admin_databases=document["adminDatabases"],
            kafka=document["kafka"],
            data_dir=Path(document["dataDir"]),
            mode=document.get("mode", "test"),
        )

    @property
    def layout(self) -> Layout:
        """Where the stack's files lie."""
        return Layout.at(self.data_dir)


def running_stack(data_dir: Path) -> Addresses:
    """The addresses of the stack that runs in `data_dir`, or of the deployment that it is about.

    Fails with what to do where there is neither.
    """
    layout = Layout.at(data_dir)
    if (deployed := deployment.read(layout)) is not None:
        return Addresses.of(deployed)
    state = StackState.read(layout.state_file)
    if state is None or state.addresses is None or not StackLock(layout.lock_file).is_held_by_another():
        raise CommandFailure(
            f"no stack is running in {layout.data_dir}.\n"
            f"Start one with `poolctl up --detach --data-dir {data_dir}`, or name another with --data-dir, which may "
            "also be a folder that says where a deployment is (docs/runbooks/README.md)."
        )
    return Addresses.of(state.addresses)


def internal_channel(addresses: Addresses, service: str, *, identity: str = OPERATOR) -> Channel:
    """A channel to a service's internal port; where the stack asks for a certificate, that of `identity` is shown."""
    certificates = certificates_of(addresses.layout, identity)
    return open_channel(addresses.services[service], _CALLER, callee=service, certificates=certificates)


class Session:
    """Clients of a stack's internal ports, opened when first used; every call carries the session's request id.

    Leaving it with what a colleague refused ends the command, saying why and under which request id.
    """

    def __init__(self, addresses: Addresses, request_id: str = "") -> None:
        self.addresses = addresses
        self.request_id = request_id or new_id("req")
        self._channels = AsyncExitStack()
        current_request_id.set(self.request_id)

    @property
    def mode(self) -> "types_pb2.Mode.ValueType":
        """As requests name it."""
        return types_pb2.Mode.Value(f"MODE_{self.addresses.mode.upper()}")

    @cached_property
    def gateway(self) -> GatewayClient:
        """Organizations, keys, endpoints, deliveries, support."""
        return GatewayClient(self._channel("gateway"))

    @cached_property
    def webhook_ingest(self) -> WebhookIngestClient:
        """Sources of inbound webhooks."""
        return WebhookIngestClient(self._channel("webhook-ingest"))

    @cached_property
    def ledger(self) -> LedgerClient:
        """Balances and the books."""
        return LedgerClient(self._channel("ledger"))

    @cached_property
    def trade(self) -> TradeClient:
        """Trades, and what a person decides about them."""
        return TradeClient(self._channel("trade"))

    @cached_property
    def quote(self) -> QuoteClient:
        """Pools and inventory."""
        return QuoteClient(self._channel("quote"))

    def _channel(self, service: str) -> grpc.aio.Channel:
        channel = internal_channel(self.addresses, service)
        self._channels.push_async_callback(channel.close)
        return channel

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._channels.aclose()
        refused = error.__cause__ if isinstance(error, Internal) else None
        if isinstance(refused, grpc.aio.AioRpcError) and refused.code() is grpc.StatusCode.PERMISSION_DENIED:
            # To a partner this is nothing but our fault; here it is the answer.
            raise CommandFailure(refused.details() or "", request_id=self.request_id) from error
        if isinstance(error, DomainError):
            raise CommandFailure(f"{error.message} ({error.code})", request_id=self.request_id) from error


def ask(data_dir: Path, question: Callable[[Session], Awaitable[T]]) -> T:
    """Asks the stack that runs in `data_dir`."""
    log_to_stderr()
    addresses = running_stack(data_dir)

    async def asking() -> T:
        async with Session(addresses) as session:
            return await question(session)

    return asyncio.run(asking())
