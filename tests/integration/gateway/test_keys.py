"""Keys over their life: rotated with an overlap, once each, by the database's clock, and never a stranger's."""

import asyncio

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration

from poolkit.errors import InvalidRequest, KeyNotInForce, NotFound
from pools.gateway.v1 import admin_pb2
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import Partner, RunningGateway
from tests.waiting import eventually

DAY_SECONDS = 24 * 3600
# What a call answers that has passed the gates: the colleague behind them is not there.
LET_IN = "unavailable"


async def keys_of(gateway: RunningGateway, partner: Partner) -> dict[admin_pb2.KeyKind, admin_pb2.ApiKey]:
    """The keys as colleagues see them, by kind."""
    request = admin_pb2.ListKeysRequest(organization_id=partner.organization_id)
    return {key.kind: key for key in (await gateway.internal.admin.ListKeys(request)).api_keys}


async def rotate(
    gateway: RunningGateway, key_id: str, seconds: float | None = None, organization_id: str = ""
) -> admin_pb2.RotateKeyResponse:
    """The key rotated, with so long an overlap, or the one that holds unless another is stated."""
    overlap = None
    if seconds is not None:
        overlap = Duration()
        overlap.FromNanoseconds(int(seconds * 1e9))
    request = admin_pb2.RotateKeyRequest(key_id=key_id, organization_id=organization_id, overlap=overlap)
    rotated: admin_pb2.RotateKeyResponse = await gateway.internal.admin.RotateKey(request)
    return rotated


async def test_a_new_key_takes_the_place_of_the_old_and_both_work_meanwhile(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    partner = await alone.new_partner()
    for kind, text in (
        (admin_pb2.KEY_KIND_SECRET, partner.secret_key),
        (admin_pb2.KEY_KIND_PUBLISHABLE, partner.publishable_key),
    ):
        old = (await keys_of(alone, partner))[kind]
        rotated = await rotate(alone, old.key_id)
        new = rotated.api_key
        assert (new.organization_id, new.kind, new.label) == (old.organization_id, old.kind, old.label)
        assert (new.replaces_key_id, new.HasField("expire_time")) == (old.key_id, False)
        assert rotated.plaintext_key[:8] == text[:8]
        assert rotated.plaintext_key != text
        assert rotated.replaced_key.key_id == old.key_id
        left = rotated.replaced_key.expire_time.seconds - new.create_time.seconds
        assert DAY_SECONDS - 2 <= left <= DAY_SECONDS + 2
        for key in (text, rotated.plaintext_key):
            assert (await Caller(alone, http, "rest", key).list_pools()).code == LET_IN
        listed = await alone.internal.admin.ListKeys(admin_pb2.ListKeysRequest(organization_id=partner.organization_id))
        assert rotated.plaintext_key not in str(listed)
        assert rotated.replaced_key in listed.api_keys


async def test_the_old_key_is_refused_as_revoked_once_the_overlap_is_over_and_not_before(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    partner = await alone.new_partner()
    callers = [Caller(alone, http, edge, partner.secret_key) for edge in EDGES]
    rotated = await rotate(alone, (await keys_of(alone, partner))[admin_pb2.KEY_KIND_SECRET].key_id, 1.0)

    async def refused() -> bool:
        codes = {(await caller.list_pools()).code for caller in callers}
        passed = await alone.database.fetch_value(
            "SELECT clock_timestamp() >= expires_at FROM api_keys WHERE key_id = $1", rotated.replaced_key.key_id
        )
        assert codes <= {LET_IN, "unauthorized"}
        assert passed or codes == {LET_IN}, "refused before its end"
        return codes == {"unauthorized"}

    await eventually(refused, "the old key is refused", seconds=3.5)
    assert (await Caller(alone, http, "grpc", rotated.plaintext_key).list_pools()).code == LET_IN


async def test_without_an_overlap_or_revoked_within_it_the_old_key_ends_at_once(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    for seconds in (0.0, 3600.0):
        partner = await alone.new_partner()
        caller = Caller(alone, http, "rest", partner.secret_key)
        assert (await caller.list_pools()).code == LET_IN
        key_id = (await keys_of(alone, partner))[admin_pb2.KEY_KIND_SECRET].key_id
        rotated = await rotate(alone, key_id, seconds)
        if seconds:
            await alone.internal.admin.RevokeKey(admin_pb2.RevokeKeyRequest(key_id=key_id))

        async def refused(caller: Caller = caller) -> bool:
            return (await caller.list_pools()).code == "unauthorized"

        await eventually(refused, "the old key is refused", seconds=2.0)
        assert (await Caller(alone, http, "rest", rotated.plaintext_key).list_pools()).code == LET_IN


async def test_a_key_is_rotated_once_also_by_two_at_the_same_time(alone: RunningGateway) -> None:
    partner = await alone.new_partner()
    key_id = (await keys_of(alone, partner))[admin_pb2.KEY_KIND_SECRET].key_id
    answers = await asyncio.gather(*(rotate(alone, key_id) for _ in range(8)), return_exceptions=True)
    [rotated] = [answer for answer in answers if isinstance(answer, admin_pb2.RotateKeyResponse)]
    refusals = [answer for answer in answers if isinstance(answer, KeyNotInForce)]
    assert len(refusals) == 7
    # Whoever lost the answer is led to the key whose text nobody has.
    assert all(rotated.api_key.key_id in refusal.message for refusal in refusals)
    again = await rotate(alone, rotated.api_key.key_id)
    assert again.api_key.replaces_key_id == rotated.api_key.key_id


async def test_a_key_that_is_revoked_or_has_expired_is_not_rotated(alone: RunningGateway) -> None:
    partner = await alone.new_partner()
    keys = await keys_of(alone, partner)
    revoked, expired = keys[admin_pb2.KEY_KIND_SECRET].key_id, keys[admin_pb2.KEY_KIND_PUBLISHABLE].key_id
    await alone.internal.admin.RevokeKey(admin_pb2.RevokeKeyRequest(key_id=revoked))
    await rotate(alone, expired, 0.0)
    for key_id, why in ((revoked, "It is revoked."), (expired, "took its place")):
        with pytest.raises(KeyNotInForce, match=why):
            await rotate(alone, key_id)
    assert await alone.database.fetch_value("SELECT count(*) FROM api_keys WHERE replaces_key_id = $1", revoked) == 0


async def test_another_organizations_key_is_as_absent_as_one_that_does_not_exist(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    partner, stranger = await alone.new_partner(), await alone.new_partner()
    key = (await keys_of(alone, partner))[admin_pb2.KEY_KIND_SECRET]
    words = []
    for key_id in (key.key_id, "key_nobody"):
        with pytest.raises(NotFound) as refused:
            await rotate(alone, key_id, 0.0, stranger.organization_id)
        words.append(refused.value.message)
    assert words[0] == words[1]
    assert (await keys_of(alone, partner))[admin_pb2.KEY_KIND_SECRET] == key
    assert (await Caller(alone, http, "rest", partner.secret_key).list_pools()).code == LET_IN
    own = await rotate(alone, key.key_id, 0.0, partner.organization_id)
    assert own.api_key.organization_id == partner.organization_id


@pytest.mark.parametrize("seconds", [-1.0, -0.001, 30 * DAY_SECONDS + 0.001, 10_000 * DAY_SECONDS])
async def test_an_overlap_out_of_range_is_refused_and_changes_nothing(alone: RunningGateway, seconds: float) -> None:
    partner = await alone.new_partner()
    key = (await keys_of(alone, partner))[admin_pb2.KEY_KIND_SECRET]
    with pytest.raises(InvalidRequest) as refused:
        await rotate(alone, key.key_id, seconds)
    assert refused.value.field == "overlap"
    assert (await keys_of(alone, partner))[admin_pb2.KEY_KIND_SECRET] == key
    longest = await rotate(alone, key.key_id, 30 * DAY_SECONDS)
    assert longest.replaced_key.expire_time.seconds - longest.api_key.create_time.seconds >= 30 * DAY_SECONDS - 2


async def test_an_entitlement_is_read_as_it_was_last_written(alone: RunningGateway) -> None:
    partner, bare = await alone.new_partner(), await alone.new_partner(entitled=False)
    admin = alone.internal.admin
    changed = await admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, off_ramp_enabled=True)
    )
    read = await admin.GetEntitlement(admin_pb2.GetEntitlementRequest(organization_id=partner.organization_id))
    assert read.entitlement == changed.entitlement
    assert read.entitlement.off_ramp_enabled
    for organization_id in (bare.organization_id, "org_nobody", ""):
        with pytest.raises(NotFound):
            await admin.GetEntitlement(admin_pb2.GetEntitlementRequest(organization_id=organization_id))
