"""Owns what `poolctl status` answers of a deployment elsewhere: whether its services answer, and are ready."""

import asyncio
from typing import Any

from poolctl.session import Addresses
from poolctl.stack.health import says_serving
from poolctl.stack.mtls import certificates_of
from poolkit.rpc.callers import OPERATOR
from poolkit.rpc.channels import open_inner

_SECONDS = 3.0


async def status_of_deployment(addresses: Addresses) -> dict[str, Any]:
    """In the words of a stack's own status; what only its own machine knows is absent."""
    answers = await asyncio.gather(*(_status_of(addresses, service) for service in addresses.services))
    return {
        "dataDir": str(addresses.data_dir),
        "running": all(answer["running"] for answer in answers),
        "phase": f"a deployment in mode {addresses.mode}",
        "pid": None,
        "parts": dict(zip(addresses.services, answers, strict=True)),
    }


async def _status_of(addresses: Addresses, service: str) -> dict[str, Any]:
    address, certificates = addresses.services[service], certificates_of(addresses.layout, OPERATOR)
    async with open_inner(address, "poolctl", callee=service, certificates=certificates) as channel:
        ready = await says_serving(channel, seconds=_SECONDS)
    port = address.rpartition(":")[2]
    return {
        "running": ready is not None,
        "ready": bool(ready),
        "pid": None,
        "version": "",
        "port": int(port) if port.isdecimal() else None,
    }
