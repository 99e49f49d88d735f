"""Keys with whatever is wrong with them or their organization, and the quotes and trades that calls are about."""

from __future__ import annotations

from typing import Final

import httpx

from gateway.domain.entitlement import EntitlementChange
from gateway.store.access import CHANGED_CHANNEL
from poolkit.security import new_api_key
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import Partner, RunningGateway
from tests.waiting import eventually

# What is done to an organization, in SQL: the way an operator's mistake or another replica would.
_CHANGES: Final = {
    "revoked key": "UPDATE api_keys SET revoked_at = now() WHERE organization_id = $1",
    "no entitlement": "DELETE FROM entitlements WHERE organization_id = $1",
    "suspended": "UPDATE entitlements SET status = 'suspended' WHERE organization_id = $1",
    "KYC pending": "UPDATE entitlements SET kyc_status = 'pending' WHERE organization_id = $1",
    "KYC revoked": "UPDATE entitlements SET kyc_status = 'revoked' WHERE organization_id = $1",
}
_LIMITED: Final = "over the rate limit"
_UNGATED: Final = EntitlementChange(balance_gate_enabled=False)


class Callers:
    """Organizations by what is wrong with them, made when they are first asked for."""

    BURST: Final = 40
    """Calls of one key at once: more than one operation is called with a key that is in order."""

    def __init__(self, gateway: RunningGateway, http: httpx.AsyncClient) -> None:
        self._gateway = gateway
        self._http = http
        self._partners: dict[frozenset[str], Partner] = {}

    async def key(self, kind: str, wrong: frozenset[str]) -> str:
        """A key of this kind with all of this wrong about it."""
        mode = "live" if "key of the other mode" in wrong else "test"
        if "malformed key" in wrong:
            return f"{kind}_{mode}_not-a-key"
        if mode == "live":
            return new_api_key("pk" if kind == "pk" else "sk", "live")
        of_organization = wrong & {*_CHANGES, _LIMITED}
        partner = self._partners.get(of_organization)
        if partner is None:
            partner = self._partners[of_organization] = await self._partner(of_organization)
        return partner.secret_key if kind == "sk" else partner.publishable_key

    async def _partner(self, wrong: frozenset[str]) -> Partner:
        partner = await self._gateway.new_partner(_UNGATED)
        caller = Caller(self._gateway, self._http, "grpc", partner.secret_key)
        if _LIMITED in wrong:
            await self.use_up(partner.secret_key)
        for name in wrong & _CHANGES.keys():
            await self._gateway.database.execute(_CHANGES[name], partner.organization_id)
        if _LIMITED in wrong and wrong != {_LIMITED}:
            # It has called before, so it is remembered as it was.
            await self._gateway.database.execute(f"NOTIFY {CHANGED_CHANNEL}")

            async def known() -> bool:
                return (await caller.list_pools()).code not in ("rate_limited", "ok")

            await eventually(known, "the gateway knows what changed", seconds=2.5)
        return partner

    async def use_up(self, key: str) -> None:
        """Calls until the key's limit is used up."""
        caller = Caller(self._gateway, self._http, "grpc", key)
        for _ in range(self.BURST + 10):
            if (await caller.list_pools()).code == "rate_limited":
                return
        raise AssertionError("there is no limit")

    async def begin(self, operation: str) -> str:
        """Gives a partner with nothing wrong its place for this operation; what the operation can be about."""
        partner = self._partners[frozenset()] = await self._gateway.new_partner(_UNGATED)
        return await self.subject(partner, operation)

    async def of_another(self, operation: str) -> str:
        """What the operation could be about, were it not another organization's."""
        return await self.subject(await self._gateway.new_partner(_UNGATED), operation)

    async def subject(self, partner: Partner, operation: str) -> str:
        """A quote of the partner, or a trade, as the operation takes; empty where it takes none."""
        if operation not in ("transact", "get_quote", "reject_quote", "get_transaction", "get_trade"):
            return ""
        caller = Caller(self._gateway, self._http, "rest", partner.secret_key)
        quote_id: str = (await caller.create_quote()).body["quoteId"]
        if operation in ("transact", "get_quote", "reject_quote"):
            return quote_id
        transact_id: str = (await caller.transact(quote_id, "first")).body["transactId"]
        return quote_id if operation == "get_transaction" else transact_id
