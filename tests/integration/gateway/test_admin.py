"""Provisioning: what operations make, change and take away, and what of it is never shown again."""

import asyncio

import httpx
import pytest

from gateway.domain.deliveries import ENDPOINTS_IN_USE_MAX
from poolkit.errors import InvalidRequest, NotFound, TooManyWebhookEndpoints
from poolkit.security import key_checksum_ok
from pools.gateway.v1 import admin_pb2, webhooks_pb2
from pools.types.v1 import types_pb2
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.house import ALL_POOLS, RunningGateway
from tests.integration.gateway.neighbours import House
from tests.waiting import eventually


async def test_an_organization_comes_with_keys_references_and_an_entitlement(house: House) -> None:
    made = await house.gateway.internal.admin.CreateOrganization(admin_pb2.CreateOrganizationRequest(name="Shop"))
    assert made.organization_id.startswith("org_")
    assert key_checksum_ok(made.publishable_key)
    assert key_checksum_ok(made.secret_key)
    assert (made.publishable_key[:8], made.secret_key[:8]) == ("pk_test_", "sk_test_")
    assert sorted(made.funding_references) == ["EUR", "GBP", "USD"]
    entitlement = made.entitlement
    assert (entitlement.status, entitlement.kyc_status) == (
        admin_pb2.ENTITLEMENT_STATUS_ACTIVE,
        admin_pb2.KYC_STATUS_APPROVED,
    )
    assert (entitlement.tier, list(entitlement.pool_ids)) == ("standard", list(ALL_POOLS))
    assert (entitlement.off_ramp_enabled, entitlement.balance_gate_enabled) == (False, True)
    assert entitlement.mode == types_pb2.MODE_TEST
    # Both work at once.
    for key in (made.publishable_key, made.secret_key):
        assert (await Caller(house.gateway, house.http, "grpc", key).list_pools()).code == "ok"


async def test_what_does_not_exist_cannot_be_entitled(house: House) -> None:
    admin = house.gateway.internal.admin
    for request, field in (
        (admin_pb2.CreateOrganizationRequest(name="x", pool_ids=["EUR-USDT", "EUR-DOGE"]), "pool_ids"),
        (admin_pb2.CreateOrganizationRequest(name="x", tier="diamond"), "tier"),
        (admin_pb2.CreateOrganizationRequest(name=""), "name"),
        (admin_pb2.CreateOrganizationRequest(name="x" * 129), "name"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await admin.CreateOrganization(request)
        assert refused.value.field == field
    partner = await house.onboard()
    for change, field in (
        ({"pools": admin_pb2.PoolList(pool_ids=["EUR-DOGE"])}, "pool_ids"),
        ({"tier": "diamond"}, "tier"),
        ({"notional_caps": [types_pb2.Money(amount="1.001", currency="EUR")]}, "notional_caps.amount"),
        ({"notional_caps": [types_pb2.Money(amount="1", currency="USDT")]}, "notional_caps.currency"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await admin.UpdateEntitlement(
                admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, **change)  # type: ignore[arg-type]
            )
        assert refused.value.field == field


async def test_an_entitlement_changes_where_it_is_named_and_at_once(house: House) -> None:
    partner = await house.onboard()
    admin = house.gateway.internal.admin
    caller = Caller(house.gateway, house.http, "rest", partner.secret_key)
    changed = await admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(
            organization_id=partner.organization_id,
            tier="premium",
            pools=admin_pb2.PoolList(pool_ids=["USD-USDT"]),
            off_ramp_enabled=True,
            notional_caps=[types_pb2.Money(amount="500.00", currency="USD")],
        )
    )
    assert (changed.entitlement.tier, list(changed.entitlement.pool_ids)) == ("premium", ["USD-USDT"])
    assert changed.entitlement.balance_gate_enabled
    assert [(cap.amount, cap.currency) for cap in changed.entitlement.notional_caps] == [("500.00", "USD")]

    async def seen() -> bool:
        return [pool["id"] for pool in (await caller.list_pools()).body["pools"]] == ["USD-USDT"]

    await eventually(seen, "the change is seen", seconds=2.5)
    assert (await caller.create_quote()).code == "pool_not_allowed"
    uncapped = await admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(
            organization_id=partner.organization_id,
            notional_caps=[types_pb2.Money(amount="0", currency="USD")],
            pools=admin_pb2.PoolList(),
        )
    )
    assert (list(uncapped.entitlement.notional_caps), list(uncapped.entitlement.pool_ids)) == ([], [])
    assert uncapped.entitlement.off_ramp_enabled


async def test_keys_are_made_listed_without_themselves_and_revoked_for_good(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    partner = await alone.new_partner()
    admin = alone.internal.admin
    made = await admin.CreateKey(
        admin_pb2.CreateKeyRequest(
            organization_id=partner.organization_id, kind=admin_pb2.KEY_KIND_SECRET, label="checkout"
        )
    )
    caller = Caller(alone, http, "rest", made.plaintext_key)
    # Through the gates, to a colleague who is not there.
    assert (await caller.list_pools()).code == "unavailable"
    seen: list[str] = []
    token = ""
    while True:
        page = await admin.ListKeys(
            admin_pb2.ListKeysRequest(organization_id=partner.organization_id, page_size=2, page_token=token)
        )
        seen += [key.label for key in page.api_keys]
        assert made.plaintext_key not in str(page)
        token = page.next_page_token
        if not token:
            break
    assert (seen[0], len(seen)) == ("checkout", 3)
    revoked = [
        (await admin.RevokeKey(admin_pb2.RevokeKeyRequest(key_id=made.api_key.key_id))).api_key.revoke_time
        for _ in range(2)
    ]
    assert revoked[0] == revoked[1]

    async def refused() -> bool:
        return (await caller.list_pools()).code == "unauthorized"

    await eventually(refused, "the key is refused", seconds=2.5)


async def test_what_belongs_to_nobody_known_is_not_found(alone: RunningGateway) -> None:
    admin = alone.internal.admin
    kind = admin_pb2.KEY_KIND_SECRET
    with pytest.raises(NotFound):
        await admin.CreateKey(admin_pb2.CreateKeyRequest(organization_id="org_nobody", kind=kind, label="x"))
    with pytest.raises(NotFound):
        await admin.RevokeKey(admin_pb2.RevokeKeyRequest(key_id="key_nobody"))
    with pytest.raises(NotFound):
        await admin.UpdateEntitlement(admin_pb2.UpdateEntitlementRequest(organization_id="org_nobody"))
    with pytest.raises(NotFound):
        await admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id="org_nobody", url="https://example.com/")
        )


async def test_what_is_not_stated_or_out_of_range_is_refused(alone: RunningGateway) -> None:
    partner = await alone.new_partner()
    admin = alone.internal.admin
    with pytest.raises(InvalidRequest):
        await admin.CreateKey(admin_pb2.CreateKeyRequest(organization_id=partner.organization_id, label="x"))
    with pytest.raises(InvalidRequest):
        await admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url="gopher://x/")
        )
    for size in (-1, 101):
        with pytest.raises(InvalidRequest):
            await admin.ListKeys(admin_pb2.ListKeysRequest(organization_id=partner.organization_id, page_size=size))


async def test_a_webhook_secret_is_kept_encrypted(alone: RunningGateway) -> None:
    partner = await alone.new_partner()
    made = await alone.internal.admin.CreateWebhookEndpoint(
        admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url="https://example.com/")
    )
    stored = await alone.database.fetch_value(
        "SELECT encrypted_secret FROM webhook_secrets WHERE endpoint_id = $1", made.endpoint_id
    )
    assert (made.endpoint_id[:4], made.secret[:6]) == ("whk_", "whsec_")
    assert made.secret.removeprefix("whsec_").encode() not in stored


async def test_an_organization_has_so_many_endpoints_in_use_and_no_more_however_they_come(
    alone: RunningGateway,
) -> None:
    partner, other = await alone.new_partner(), await alone.new_partner()

    async def add(organization_id: str = partner.organization_id) -> str:
        request = admin_pb2.CreateWebhookEndpointRequest(organization_id=organization_id, url="https://example.com/")
        return str((await alone.internal.admin.CreateWebhookEndpoint(request)).endpoint_id)

    made = await asyncio.gather(*(add() for _ in range(30)), return_exceptions=True)
    in_use = [answer for answer in made if isinstance(answer, str)]
    assert len(in_use) == ENDPOINTS_IN_USE_MAX
    assert all(isinstance(answer, TooManyWebhookEndpoints) for answer in made if answer not in in_use)
    # One that is disabled makes room, and comes back only where there is some. Nobody's count but one's own.
    webhooks = alone.internal.webhooks
    await webhooks.DisableWebhookEndpoint(webhooks_pb2.DisableWebhookEndpointRequest(endpoint_id=in_use[0]))
    instead = await add()
    with pytest.raises(TooManyWebhookEndpoints, match="16"):
        await webhooks.EnableWebhookEndpoint(webhooks_pb2.EnableWebhookEndpointRequest(endpoint_id=in_use[0]))
    await add(other.organization_id)
    await webhooks.DisableWebhookEndpoint(webhooks_pb2.DisableWebhookEndpointRequest(endpoint_id=instead))
    await webhooks.EnableWebhookEndpoint(webhooks_pb2.EnableWebhookEndpointRequest(endpoint_id=in_use[0]))
