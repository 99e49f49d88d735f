"""A disabled endpoint's deliveries wait for days and not for ever, and nothing more is queued for it after them."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.app.waiting_deliveries import WaitingDeliveries
from gateway.domain.deliveries import WAITING_SECONDS_MAX
from gateway.store import waiting
from tests.integration import plans
from tests.integration.gateway.desk import Desk
from tests.integration.gateway.neighbours import House
from tests.waiting import eventually

FIVE_DAYS = timedelta(seconds=WAITING_SECONDS_MAX)
A_MOMENT = timedelta(minutes=1)


async def pass_time(desk: Desk, time: timedelta) -> None:
    """As if it had passed since everything that was."""
    await desk.database.execute("UPDATE webhook_endpoints SET disabled_at = disabled_at - $1::interval", time)
    await desk.database.execute("UPDATE deliveries SET next_attempt_at = next_attempt_at - $1::interval", time)


@pytest.fixture
async def off(desk: Desk) -> str:
    """An endpoint that is disabled, beside one that is not and takes nothing."""
    endpoint_id, _ = await desk.endpoint_with_id("/off", "org_1")
    await desk.endpoint("/on", "org_1")
    await desk.colleagues.disable(endpoint_id)
    return endpoint_id


async def states_of(desk: Desk, endpoint_id: str) -> list[str]:
    rows = await desk.database.fetch(
        "SELECT state FROM deliveries WHERE endpoint_id = $1 ORDER BY delivery_id", endpoint_id
    )
    return [row["state"] for row in rows]


async def test_after_five_days_what_waits_is_given_up_nothing_more_is_queued_and_a_replay_brings_it(
    desk: Desk, off: str
) -> None:
    assert WAITING_SECONDS_MAX == 5 * 24 * 3600
    look = WaitingDeliveries(desk.database).look
    await desk.receive(desk.event("org_1"), desk.event("org_1"))
    await pass_time(desk, FIVE_DAYS - A_MOMENT)
    assert await look() == 0
    await desk.receive(desk.event("org_1"))
    assert await states_of(desk, off) == ["pending"] * 3

    await pass_time(desk, A_MOMENT)
    with capture_logs() as lines:
        assert await look() == 2
    assert [(line["event"], line["endpoint_id"], line["count"]) for line in lines] == [
        ("deliveries_waited_in_vain", off, 2)
    ]
    assert await look() == 0
    assert await states_of(desk, off) == ["dead", "dead", "pending"], "the third has not waited for long"
    await desk.receive(desk.event("org_1"))
    assert len(await states_of(desk, off)) == 3
    assert len(await desk.ids()) == 3 + 4, "the other endpoint gets every event, however long it has not been posted to"

    # Enabled again, it gets what waits, what comes, and what a person asks for.
    await desk.colleagues.enable(off)
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await eventually(lambda: len(desk.receiver.at("/off")) == 2, "the waiting one and the new one are delivered")
    for delivery_id in (await desk.ids())[:4]:
        await desk.colleagues.replay(delivery_id)
    await eventually(lambda: len(desk.receiver.at("/off")) == 4, "and so are the dead ones")


async def test_a_gateway_looks_after_what_waits(house: House) -> None:
    assert "loop waiting deliveries" in {task.get_name() for task in asyncio.all_tasks()}


async def test_an_endpoint_that_somebody_enables_at_this_moment_keeps_what_has_waited(desk: Desk, off: str) -> None:
    await desk.receive(desk.event("org_1"))
    await pass_time(desk, FIVE_DAYS)
    look = WaitingDeliveries(desk.database).look
    async with desk.database.transaction() as unit:
        await unit.execute("UPDATE webhook_endpoints SET disabled_at = NULL, disabled_reason = NULL")
        assert await look() == 0
        await unit.commit()
    assert await look() == 0
    assert await states_of(desk, off) == ["pending"]


async def test_however_many_there_are_they_are_given_up_in_parts_off_the_index(
    desk: Desk, off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.waiting_deliveries.CHUNK", 3)
    second, _ = await desk.endpoint_with_id("/off-too", "org_1")
    await desk.colleagues.disable(second)
    await desk.receive(*(desk.event("org_1") for _ in range(7)))
    await pass_time(desk, FIVE_DAYS)
    assert await WaitingDeliveries(desk.database).look() == 14
    assert set(await states_of(desk, off) + await states_of(desk, second)) == {"dead"}
    await desk.database.execute("ANALYZE deliveries")
    nodes = await plans.plan_nodes(desk.database, waiting.GIVE_UP)
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "deliveries"]
