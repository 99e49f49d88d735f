"""Protects the look-up of paths: it finds what the framework's router finds, parameters included, and nothing else."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from starlette.routing import Route, Router

from gateway.api.operations import partner_operations
from gateway.api.paths import Paths
from gateway.app.partner import PartnerOperations

NOTHING: Any = None
OPERATIONS = partner_operations(PartnerOperations(quotes=NOTHING, trades=NOTHING, ledger=NOTHING, settlements=NOTHING))
PATHS = list(dict.fromkeys(operation.path for operation in OPERATIONS))

words = sorted({part for path in PATHS for part in path.split("/")} | {"EUR-USDT", "pq_1", "a b", "é", "{id}", "\n"})


class Endpoint:
    """Remembers what it was called with."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        scope["found"] = self.name, dict(scope.get("path_params", {}))


@given(st.lists(st.sampled_from(words), max_size=7).map("/".join))
@example("/v1/pools")
@example("/v1/pools/")
@example("/v1/pools//quote")
@example("/v1/pools/quotes/capabilities")
@example("/v1/pools/trades/transact")
@example("/v1/pools/quotes/reject/reject")
async def test_a_path_leads_where_the_router_would_lead_it(path: str) -> None:
    endpoints = {known: Endpoint(known) for known in PATHS}
    router = Router([Route(known, endpoint) for known, endpoint in endpoints.items()], redirect_slashes=False)
    router.default = Endpoint("nowhere")
    looked_up: dict[str, Any] = {"type": "http", "method": "GET", "path": path}
    routed = dict(looked_up)
    await Paths(endpoints, otherwise=Endpoint("nowhere"))(looked_up, NOTHING, NOTHING)
    await router(routed, NOTHING, NOTHING)
    assert looked_up["found"] == routed["found"]
