"""Every operation of the table at every gate over both edges: whoever adds one adds it to these."""

from dataclasses import dataclass

import httpx
import pytest

from gateway.api.operations import Operation, partner_operations
from gateway.app.partner import PartnerOperations
from gateway.domain.entitlement import EntitlementChange, EntitlementStatus, KycStatus
from poolkit.security import new_api_key
from pools.gateway.v1 import partner_pb2
from tests.integration.gateway.calls import EDGES, Answer, Caller
from tests.integration.gateway.house import RunningGateway

# The colleagues are never reached: no call here passes the gates.
OPERATIONS = partner_operations(PartnerOperations(quotes=None, trades=None, settlements=None, ledger=None))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shut:
    """One way not to get in."""

    code: str
    change: EntitlementChange | None = None
    entitled: bool = True


ENTITLEMENTS = (
    Shut("pools_not_enabled", entitled=False),
    Shut("pool_access_suspended", EntitlementChange(status=EntitlementStatus.SUSPENDED)),
    Shut("kyc_not_approved", EntitlementChange(kyc_status=KycStatus.PENDING)),
    Shut("kyc_not_approved", EntitlementChange(kyc_status=KycStatus.REVOKED)),
)


async def call(caller: Caller, operation: Operation, **headers: str) -> Answer:
    """The operation with nothing in it that would fit: what a shut gate answers does not depend on it."""
    path = operation.path.replace("{id}", "none").replace("{quoteId}", "none").replace("{transactId}", "none")
    return await caller.call(operation.http_method, path, operation.rpc, operation.message(), headers=headers)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_no_operation_is_reached_through_a_shut_gate(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str, operation: Operation
) -> None:
    partner = await alone.new_partner()
    secret = Caller(alone, http, edge, partner.secret_key)
    publishable = Caller(alone, http, edge, partner.publishable_key)
    assert (await call(Caller(alone, http, edge, ""), operation)).code == "unauthorized"
    assert (await call(Caller(alone, http, edge, new_api_key("sk", "live")), operation)).code == "key_mode_mismatch"
    assert (await call(Caller(alone, http, edge, new_api_key("sk", "test")), operation)).code == "unauthorized"
    assert (await call(secret, operation, origin="https://shop.example")).code == "secret_key_in_browser"
    if not operation.publishable_may:
        assert (await call(publishable, operation)).code == "secret_key_required"
    for shut in ENTITLEMENTS:
        other = await alone.new_partner(shut.change, entitled=shut.entitled)
        for key in (other.secret_key, other.publishable_key):
            expected = shut.code
            if key == other.publishable_key and not operation.publishable_may:
                expected = "secret_key_required"
            assert (await call(Caller(alone, http, edge, key), operation)).code == expected


def test_the_table_and_the_contract_name_the_same_methods() -> None:
    service = partner_pb2.DESCRIPTOR.services_by_name["PartnerService"]
    assert sorted(operation.rpc for operation in OPERATIONS) == sorted(method.name for method in service.methods)
    for operation in OPERATIONS:
        method = service.methods_by_name[operation.rpc]
        assert method.input_type.full_name == operation.message.DESCRIPTOR.full_name


def test_only_listing_pools_is_open_to_publishable_keys_and_only_transact_needs_an_idempotency_key() -> None:
    assert [one.name for one in OPERATIONS if one.publishable_may] == ["list_pools"]
    assert [one.name for one in OPERATIONS if one.needs_idempotency_key] == ["transact"]
