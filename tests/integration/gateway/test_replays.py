"""Looking deliveries up and replaying them: the same event again, as new attempts, and never two of one at once."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.deliveries import DeliveryState, TerminalEvent
from gateway.store import journey
from gateway.store.deliveries import claim_due
from gateway.store.delivery_search import DeliveryFilter
from poolkit.errors import InvalidRequest, NotFound
from poolkit.ids import new_id
from pools.gateway.v1 import admin_pb2, webhooks_pb2
from tests.integration.gateway.desk import Desk
from tests.integration.gateway.house import RunningGateway
from tests.waiting import eventually

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EVERY_STATE = (("delivered", 1), ("dead", 3), ("pending", 0))


@pytest.fixture
async def varied(desk: Desk) -> list[TerminalEvent]:
    """The events of three deliveries, one delivered, one dead, one pending, at an endpoint each."""
    events = [desk.event(f"org_{number}") for number in range(3)]
    for number, path in enumerate(("/hook", "/in-turn", "/off")):
        endpoint_id, _ = await desk.endpoint_with_id(path, f"org_{number}")
    await desk.colleagues.disable(endpoint_id)
    desk.receiver.answers = [500] * 3
    await desk.sender()
    for event in events:
        await desk.receive(event)
    await eventually(desk.reach(*EVERY_STATE), "each stands as it should")
    return events


async def listed(desk: Desk, **wanted: Any) -> list[str]:
    """The states of what is found, newest first."""
    rows = await desk.colleagues.list_deliveries(DeliveryFilter(**wanted), before="", limit=9)
    return [row.state.value for row in rows]


async def test_each_filter_finds_its_own_and_together_they_narrow(desk: Desk, varied: list[TerminalEvent]) -> None:
    assert await listed(desk) == ["pending", "dead", "delivered"]
    for state in DeliveryState:
        assert await listed(desk, state=state) == [state.value]
    assert await listed(desk, organization_id="org_1") == ["dead"]
    assert await listed(desk, trade_id=varied[0].trade_id) == ["delivered"]
    [endpoint] = await desk.colleagues.list_endpoints("org_2", after="", limit=9)
    assert await listed(desk, endpoint_id=endpoint.endpoint_id) == ["pending"]
    assert await listed(desk, endpoint_id=endpoint.endpoint_id, state=DeliveryState.DEAD) == []
    rows = await desk.colleagues.list_deliveries(DeliveryFilter(), before="", limit=9)
    middle = rows[1].created_at
    assert await listed(desk, created_from=middle) == ["pending", "dead"]
    assert await listed(desk, created_before=middle) == ["delivered"]
    assert await listed(desk, created_from=middle, created_before=middle + timedelta(microseconds=1)) == ["dead"]
    assert await listed(desk, created_from=LONG_AGO, created_before=LONG_AGO + timedelta(days=1)) == []


async def test_pages_cover_everything_once(desk: Desk, varied: list[TerminalEvent]) -> None:
    seen: list[str] = []
    for _ in range(4):
        rows = await desk.colleagues.list_deliveries(DeliveryFilter(), before=seen[-1] if seen else "", limit=1)
        seen += [row.delivery_id for row in rows]
    assert seen == list(reversed(await desk.ids()))


async def test_a_delivery_shows_its_attempts_and_its_body_by_hash_alone(
    desk: Desk, varied: list[TerminalEvent]
) -> None:
    delivery, attempts = await desk.colleagues.find_delivery((await desk.ids())[1])
    assert (delivery.event_id, delivery.trade_id) == (varied[1].event_id, varied[1].trade_id)
    assert delivery.body_sha256 == hashlib.sha256(varied[1].body).hexdigest()
    assert varied[1].body.decode() not in repr(delivery)
    assert [(attempt.number, attempt.status_code, attempt.failure) for attempt in attempts] == [
        (1, 500, ""), (2, 500, ""), (3, 500, ""),
    ]  # fmt: skip
    assert all(earlier.created_at < later.created_at for earlier, later in pairwise(attempts))
    assert delivery.next_attempt_at is None


async def test_a_replay_is_the_same_event_as_a_new_attempt(desk: Desk, varied: list[TerminalEvent]) -> None:
    delivered = (await desk.ids())[0]
    replayed = await desk.colleagues.replay(delivered, replayed_by="Ada")
    assert replayed.state in (DeliveryState.PENDING, DeliveryState.DELIVERED)
    await eventually(lambda: len(desk.receiver.at("/hook")) == 2, "it is posted again")
    await eventually(desk.reach(("delivered", 2), *EVERY_STATE[1:]), "it is delivered again")
    first, second = desk.receiver.at("/hook")
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    _, attempts = await desk.colleagues.find_delivery(delivered)
    assert [(attempt.number, attempt.status_code) for attempt in attempts] == [(1, 200), (2, 200)]
    story = [row for row in await journey.find(desk.database, [delivered], 100) if row.kind in ("attempt", "replay")]
    assert [row.kind for row in story] == ["attempt", "replay", "attempt"]
    assert story[1].summary == "Ada had the webhook posted again, after attempt 1"
    with pytest.raises(InvalidRequest):
        await desk.colleagues.replay(delivered, replayed_by="x" * 129)


async def test_a_dead_delivery_begins_its_schedule_anew(desk: Desk, varied: list[TerminalEvent]) -> None:
    desk.receiver.answers = [500, 500, 200]
    await desk.colleagues.replay((await desk.ids())[1])
    await eventually(desk.reach(EVERY_STATE[0], ("delivered", 6), EVERY_STATE[2]), "the third try succeeds")
    desk.receiver.answers = [500] * 9
    await desk.colleagues.replay((await desk.ids())[1])
    await eventually(desk.reach(EVERY_STATE[0], ("dead", 9), EVERY_STATE[2]), "it is given up once more")


async def test_one_that_is_being_posted_is_not_posted_beside_itself(desk: Desk) -> None:
    await desk.endpoint("/never", "org_1")
    await desk.receive(desk.event("org_1"))
    await desk.sender()
    await eventually(lambda: desk.receiver.received, "the attempt is under way")
    [delivery_id] = await desk.ids()
    for _ in range(3):
        assert (await desk.colleagues.replay(delivery_id)).state is DeliveryState.PENDING
    replayed, _ = await desk.colleagues.replay_range(await everything(desk), after="", limit=9)
    assert replayed == []
    assert (
        await claim_due(
            desk.database, closed=(), narrow=(), endpoint_max=9, count_max=9, failing_max=9, claim_seconds=30
        )
        == []
    )
    desk.receiver.release.set()
    await eventually(desk.reach(("delivered", 1)), "the one attempt succeeds")
    assert len(desk.receiver.received) == 1


async def test_one_that_waits_for_its_next_try_is_tried_at_once(desk: Desk) -> None:
    await desk.endpoint("/in-turn", "org_1")
    desk.receiver.answers = [500]
    await desk.receive(desk.event("org_1"))
    await desk.sender()
    await eventually(desk.reach(("delivered", 2)), "the second try succeeds")
    [delivery_id] = await desk.ids()
    await desk.database.execute(
        "UPDATE deliveries SET state = 'pending', delivered_at = NULL, next_attempt_at = now() + interval '10 hours'"
    )
    assert (await desk.colleagues.replay(delivery_id)).delivery_id == delivery_id
    await eventually(desk.reach(("delivered", 3)), "it is tried at once")


async def everything(desk: Desk, **wanted: Any) -> DeliveryFilter:
    """Whatever there is at the one endpoint."""
    [endpoint] = await desk.database.fetch("SELECT endpoint_id FROM webhook_endpoints")
    return DeliveryFilter(endpoint_id=endpoint["endpoint_id"], created_from=LONG_AGO, **wanted)


async def test_a_time_range_of_an_endpoint_is_replayed_page_by_page(desk: Desk) -> None:
    await desk.endpoint("/hook", "org_1")
    await desk.sender()
    await desk.receive(*(desk.event("org_1") for _ in range(5)))
    await eventually(desk.reach(*[("delivered", 1)] * 5), "all are delivered")
    ids = await desk.ids()
    bounds = await desk.database.fetch("SELECT created_at FROM deliveries ORDER BY delivery_id")
    wanted = await everything(desk, created_before=bounds[4]["created_at"])
    replayed: list[str] = []
    after, pages = "", 0
    while True:
        page, after = await desk.colleagues.replay_range(wanted, after=after, limit=2)
        replayed += page
        pages += 1
        if not after:
            break
    assert (sorted(replayed), pages) == (ids[:4], 3)
    await eventually(lambda: len(desk.receiver.received) == 9, "they are posted again")
    dead, _ = await desk.colleagues.replay_range(await everything(desk, state=DeliveryState.DEAD), after="", limit=9)
    assert dead == []


async def test_ten_people_who_replay_at_once_cost_one_attempt_each_at_most(desk: Desk) -> None:
    await desk.endpoint("/hook", "org_1")
    await desk.receive(desk.event("org_1"))
    await desk.sender()
    await desk.sender()
    await eventually(desk.reach(("delivered", 1)), "it is delivered")
    [delivery_id] = await desk.ids()
    await asyncio.gather(*(desk.colleagues.replay(delivery_id) for _ in range(10)))

    async def at_rest() -> bool:
        [(state, attempts)] = await desk.states()
        return state == "delivered" and attempts == len(desk.receiver.received)

    await eventually(at_rest, "every attempt begun is recorded, and none was made twice")
    rows = await desk.database.fetch("SELECT number FROM delivery_attempts ORDER BY number")
    assert 2 <= len(rows) == len(desk.receiver.received) <= 11


async def test_what_is_not_said_or_not_there_is_refused(alone: RunningGateway) -> None:
    webhooks = alone.internal.webhooks
    beginning = Timestamp(seconds=1)
    for request, field in (
        (webhooks_pb2.ReplayDeliveriesRequest(create_time_from=beginning), "endpoint_id"),
        (webhooks_pb2.ReplayDeliveriesRequest(endpoint_id="whk_1"), "create_time_from"),
        (webhooks_pb2.ReplayDeliveriesRequest(endpoint_id="whk_1", create_time_from=Timestamp(seconds=-1)),
         "create_time_from"),
        (webhooks_pb2.ReplayDeliveriesRequest(endpoint_id="whk_1", create_time_from=beginning, page_size=1_001),
         "page_size"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest) as refused:
            await webhooks.ReplayDeliveries(request)
        assert refused.value.field == field
    with pytest.raises(InvalidRequest):
        await alone.internal.admin.ListDeliveries(admin_pb2.ListDeliveriesRequest(state=9))  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await webhooks.GetDelivery(webhooks_pb2.GetDeliveryRequest(delivery_id=new_id("whd")))
    with pytest.raises(NotFound):
        await webhooks.ReplayDelivery(webhooks_pb2.ReplayDeliveryRequest(delivery_id=new_id("whd")))


async def test_colleagues_handle_an_endpoint_over_their_port(alone: RunningGateway) -> None:
    partner = await alone.new_partner()
    made = [
        await alone.internal.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(
                organization_id=partner.organization_id, url=f"https://h.example/{n}"
            )
        )
        for n in range(3)
    ]
    webhooks = alone.internal.webhooks
    handle = webhooks_pb2.DisableWebhookEndpointRequest(endpoint_id=made[0].endpoint_id)
    assert (await webhooks.DisableWebhookEndpoint(handle)).endpoint.HasField("disable_time")
    request = webhooks_pb2.RotateWebhookSecretRequest(endpoint_id=made[1].endpoint_id, overlap_seconds=60)
    rotated = await webhooks.RotateWebhookSecret(request)
    assert (rotated.secret != made[1].secret, rotated.secret[:6]) == (True, "whsec_")
    seen, token = [], ""
    while True:
        page = await webhooks.ListWebhookEndpoints(
            webhooks_pb2.ListWebhookEndpointsRequest(
                organization_id=partner.organization_id, page_size=2, page_token=token
            )
        )
        assert rotated.secret not in str(page)
        seen += [(row.endpoint_id, row.disabled_reason, row.active_secret_count) for row in page.endpoints]
        token = page.next_page_token
        if not token:
            break
    assert seen == [
        (made[0].endpoint_id, webhooks_pb2.DISABLED_REASON_REQUESTED, 1),
        (made[1].endpoint_id, webhooks_pb2.DISABLED_REASON_UNSPECIFIED, 2),
        (made[2].endpoint_id, webhooks_pb2.DISABLED_REASON_UNSPECIFIED, 1),
    ]
    enabled = await webhooks.EnableWebhookEndpoint(
        webhooks_pb2.EnableWebhookEndpointRequest(endpoint_id=made[0].endpoint_id)
    )
    assert not enabled.endpoint.HasField("disable_time")
