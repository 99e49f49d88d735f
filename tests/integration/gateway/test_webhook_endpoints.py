"""Endpoints: what disables one and says so, that nothing is lost meanwhile, and secrets that change hands."""

import hashlib
import hmac

import pytest
from prometheus_client import REGISTRY
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from gateway.domain.deliveries import DisabledReason, RetrySchedule
from gateway.store.endpoints import StoredEndpoint
from poolkit.errors import InvalidRequest, NotFound
from tests.integration.gateway.desk import Desk
from tests.integration.gateway.receiver import Received
from tests.waiting import eventually

PATIENT = RetrySchedule((0, 30), attempts_max=3, jitter=0)
"""Nothing is tried again while a test runs."""


async def stored(desk: Desk, organization_id: str = "org_1") -> list[StoredEndpoint]:
    return list(await desk.colleagues.list_endpoints(organization_id, after="", limit=9))


def disabled_count(reason: str) -> float:
    return REGISTRY.get_sample_value("pools_webhook_endpoints_disabled_total", {"reason": reason}) or 0.0


def has_signed(secret: str, received: Received) -> bool:
    """Whether this secret verifies both signatures, by a well-known verifier and by a plain HMAC; never just one."""
    try:
        Webhook(secret).verify(received.body, received.headers, json_parse=False)
        standard = True
    except WebhookVerificationError:
        standard = False
    fields = [part.split("=", 1) for part in received.headers["Pools-Signature"].split(",")]
    [timestamp] = [value for name, value in fields if name == "t"]
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + received.body, hashlib.sha256).hexdigest()
    plain = expected in [value for name, value in fields if name == "v1"]
    assert standard == plain
    return standard


async def test_an_endpoint_that_is_gone_is_disabled_at_once_and_it_is_said(desk: Desk) -> None:
    await desk.endpoint("/in-turn", "org_1")
    desk.receiver.answers = [410]
    counted = disabled_count("gone")
    with capture_logs() as lines:
        await desk.sender()
        await desk.receive(desk.event("org_1"))
        await eventually(desk.reach(("pending", 1)), "the attempt is recorded")

        async def is_disabled() -> bool:
            return (await stored(desk))[0].disabled_at is not None

        await eventually(is_disabled, "the endpoint is disabled")
        told = await eventually(
            lambda: [line for line in lines if line["event"] == "webhook_endpoint_disabled"], "it is logged"
        )
    [endpoint] = await stored(desk)
    assert endpoint.disabled_reason is DisabledReason.GONE
    assert [(line["reason"], line["endpoint_id"]) for line in told] == [("gone", endpoint.endpoint_id)]
    assert disabled_count("gone") == counted + 1
    # What comes now waits, and so does what was refused.
    await desk.receive(desk.event("org_1"))
    await desk.colleagues.replay((await desk.ids())[0])
    await desk.receive(desk.event("org_2"))
    assert (await desk.states(), len(desk.receiver.received)) == ([("pending", 1), ("pending", 0)], 1)
    await desk.colleagues.enable(endpoint.endpoint_id)
    await eventually(desk.reach(("delivered", 2), ("delivered", 1)), "both go on")
    assert (await stored(desk))[0].disabled_reason is None


async def test_days_of_nothing_but_failure_disable_and_one_success_begins_them_anew(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint_with_id("/in-turn", "org_1")
    desk.receiver.answers = [500, 200, 500, 503]
    await desk.sender(schedule=PATIENT, failing_seconds_max=3_600)

    async def attempt(state: str) -> StoredEndpoint:
        await desk.receive(desk.event("org_1"))
        newest = (await desk.ids())[-1]

        async def recorded() -> bool:
            row = await desk.database.fetch_row("SELECT * FROM delivery_attempts WHERE delivery_id = $1", newest)
            return row is not None

        await eventually(recorded, "the attempt is recorded")
        assert (await desk.states())[-1] == (state, 1)
        return (await stored(desk))[0]

    async def hours_pass() -> None:
        await desk.database.execute("UPDATE webhook_endpoints SET failing_since = failing_since - interval '2 hours'")

    assert (await attempt("pending")).failing_since is not None
    await hours_pass()
    assert (await attempt("delivered")).failing_since is None
    since = (await attempt("pending")).failing_since
    assert since is not None
    await hours_pass()
    failing = await attempt("pending")
    assert (failing.disabled_reason, failing.disabled_at is not None) == (DisabledReason.FAILING, True)
    enabled = await desk.colleagues.enable(endpoint_id)
    assert (enabled.disabled_at, enabled.failing_since) == (None, None)


async def test_failures_within_the_time_disable_nothing_and_keep_their_beginning(desk: Desk) -> None:
    await desk.endpoint("/in-turn", "org_1")
    desk.receiver.answers = [500, 404, 302]
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await eventually(desk.reach(("dead", 3)), "it is given up")
    [endpoint] = await stored(desk)
    second = await desk.database.fetch_value("SELECT created_at FROM delivery_attempts WHERE number = 2")
    assert endpoint.disabled_at is None
    assert endpoint.failing_since is not None
    assert endpoint.failing_since < second, "it is the first failure that counts"


async def test_a_disabled_endpoint_is_posted_nothing_and_others_are(desk: Desk) -> None:
    off, _ = await desk.endpoint_with_id("/off", "org_1")
    await desk.endpoint("/on", "org_1")
    first = await desk.colleagues.disable(off)
    assert first.disabled_reason is DisabledReason.REQUESTED
    assert await desk.colleagues.disable(off) == first
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await desk.receive(desk.event("org_1"))
    await eventually(lambda: len(desk.receiver.at("/on")) == 2, "the other gets both")
    assert desk.receiver.at("/off") == []
    assert [endpoint.disabled_at is None for endpoint in await stored(desk)] == [False, True]
    for _ in range(2):
        assert (await desk.colleagues.enable(off)).disabled_at is None
    await eventually(lambda: len(desk.receiver.at("/off")) == 2, "what has waited goes on")


async def test_while_a_secret_is_rotated_both_sign_and_afterwards_the_new_one_alone(desk: Desk) -> None:
    endpoint_id, old = await desk.endpoint_with_id("/hook", "org_1")
    await desk.sender()
    rotated = await desk.colleagues.rotate_secret(endpoint_id, 3_600)
    new = rotated.secret
    assert (rotated.endpoint.active_secret_count, new != old) == (2, True)
    await desk.receive(desk.event("org_1"))
    await eventually(lambda: len(desk.receiver.received) == 1, "the first is delivered")
    # The hour passes.
    await desk.database.execute("UPDATE webhook_secrets SET expires_at = expires_at - interval '1 hour'")
    await desk.receive(desk.event("org_1"))
    await eventually(lambda: len(desk.receiver.received) == 2, "the second is delivered")
    during, after = desk.receiver.received
    assert (has_signed(old, during), has_signed(new, during)) == (True, True)
    assert (has_signed(old, after), has_signed(new, after)) == (False, True)
    assert len(during.headers["webhook-signature"].split(" ")) == during.headers["Pools-Signature"].count("v1=") == 2


async def test_a_secret_that_leaked_ends_at_once_however_many_there_are(desk: Desk) -> None:
    endpoint_id, old = await desk.endpoint_with_id("/hook", "org_1")
    for _ in range(7):
        await desk.colleagues.rotate_secret(endpoint_id, 60)
    with pytest.raises(InvalidRequest) as refused:
        await desk.colleagues.rotate_secret(endpoint_id, 60)
    assert refused.value.field == "overlap_seconds"
    rotated = await desk.colleagues.rotate_secret(endpoint_id, 0)
    assert rotated.endpoint.active_secret_count == 1
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    [received] = await eventually(lambda: desk.receiver.received, "it is delivered")
    assert (has_signed(old, received), has_signed(rotated.secret, received)) == (False, True)


async def test_a_rotation_never_lets_an_older_secret_live_longer(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint_with_id("/hook", "org_1")
    await desk.colleagues.rotate_secret(endpoint_id, 60)
    await desk.colleagues.rotate_secret(endpoint_id, 604_800)
    left = await desk.database.fetch(
        "SELECT extract(epoch FROM expires_at - now())::int AS seconds FROM webhook_secrets ORDER BY number"
    )
    assert [row["seconds"] is not None and row["seconds"] <= 60 for row in left] == [True, False, False]


async def test_what_is_nobodys_endpoint_is_not_found(desk: Desk) -> None:
    for handle in (desk.colleagues.disable, desk.colleagues.enable, desk.colleagues.find_delivery):
        with pytest.raises(NotFound):
            await handle("whk_nobody")
    with pytest.raises(NotFound):
        await desk.colleagues.rotate_secret("whk_nobody", 0)
    with pytest.raises(InvalidRequest):
        await desk.colleagues.rotate_secret("whk_nobody", 604_801)
    assert await stored(desk, "org_nobody") == []
