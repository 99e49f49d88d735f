"""Two replicas of each service: behind gRPC's round robin for each other, behind HAProxy for partners and providers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from poolctl.session import Addresses
from poolctl.stack import Stack
from poolctl.stack.programs import SANDBOX, SERVICES, Program, Wiring
from tests.e2e.rolling.proxy import Proxy
from tests.waiting import eventually

READY_SECONDS_MIN = 2.0
"""How long a new replica is ready before the next one goes: `minReadySeconds` of the Deployments, which say 5."""
HTTP_PORTS = {"gateway": "partner_rest", "webhook-ingest": "webhook"}


def second(service: str) -> str:
    """The name of a service's other replica."""
    return f"{service}-2"


def replicas_of(service: str) -> tuple[str, str]:
    """The names of both."""
    return service, second(service)


def addresses_of(wiring: Wiring, service: str, port: str = "grpc") -> list[str]:
    """Where both listen."""
    return [wiring.address(f"{name}.{port}") for name in replicas_of(service)]


def target(wiring: Wiring, service: str, port: str = "grpc") -> str:
    """Both as one target of gRPC's, as a headless Service's name would be."""
    return f"ipv4:{','.join(addresses_of(wiring, service, port))}"


def _rows(proxy: Proxy, pythons: Mapping[str, str]) -> list[Program]:
    def told(program: Program) -> Callable[[Wiring], Mapping[str, str]]:
        def environment(wiring: Wiring) -> dict[str, str]:
            own = dict(program.environment(wiring))
            for service in SERVICES:
                variable = f"POOLS_{service.name.replace('-', '_').upper()}_ADDRESS"
                if variable in own:
                    own[variable] = target(wiring, service.name)
            if "POOLS_WEBHOOKS_URL" in own:
                own["POOLS_WEBHOOKS_URL"] = proxy.url("webhook-ingest")
            return own

        return environment

    rows = [replace(program, environment=told(program)) for program in (*SERVICES, SANDBOX)]
    rows += [replace(row, name=second(row.name), prepare=None) for row in rows if row.name != SANDBOX.name]
    return [replace(row, python=pythons.get(row.name, row.python)) for row in rows]


class Fleet:
    """A stack of two replicas a service, and the proxy before it; `pythons` run replicas, by their names."""

    def __init__(
        self, directory: Path, pythons: Mapping[str, str] = MappingProxyType({}), *, mtls: bool = False
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.proxy = Proxy(directory, list(HTTP_PORTS))
        self.stack = Stack(directory / "stack", programs=_rows(self.proxy, pythons), mtls=mtls)

    @property
    def addresses(self) -> Addresses:
        """Where callers reach it: never one replica."""
        wiring = self.stack.wiring
        return replace(
            Addresses.of(self.stack.addresses),
            rest=self.proxy.url("gateway"),
            webhooks=self.proxy.url("webhook-ingest"),
            grpc=target(wiring, "gateway", "partner_grpc"),
            services={program.name: target(wiring, program.name) for program in SERVICES},
        )

    async def start(self) -> None:
        """All replicas, then the proxy."""
        await self.stack.start()
        wiring = self.stack.wiring
        await self.proxy.start({name: addresses_of(wiring, name, port) for name, port in HTTP_PORTS.items()})

    async def replace(self, replica: str) -> None:
        """SIGTERM, then a new process; returns when that has been ready for a while, as a rollout waits."""
        await self.stack.stop_part(replica)
        await self._start(replica)

    async def exchange(self, leaving: str, coming: str) -> None:
        """The one is ready for a while before the other gets its SIGTERM, as a rollout with a surge goes."""
        await self._start(coming)
        await self.stack.stop_part(leaving)

    async def _start(self, replica: str) -> None:
        await self.stack.start_part(replica)
        ready_at = time.monotonic()
        await eventually(lambda: time.monotonic() - ready_at >= READY_SECONDS_MIN, f"{replica} has been ready")

    async def stop(self) -> None:
        """Everything."""
        await self.proxy.stop()
        await self.stack.stop()
