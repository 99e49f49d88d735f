"""Webhooks out, from a stored event to a partner's endpoint: at least once, in time, and nobody in another's way."""

import asyncio
import hashlib
import hmac
import time
from collections import Counter

import pytest
from standardwebhooks import Webhook

from gateway.domain.deliveries import ClaimedDelivery
from gateway.outbound.webhooks import WebhookPoster
from gateway.store.deliveries import claim_due
from poolkit.security import new_webhook_secret
from tests.integration.gateway.desk import Desk
from tests.integration.gateway.house import TRACEPARENT
from tests.waiting import eventually


async def test_an_off_the_shelf_verifier_accepts_both_signatures(desk: Desk) -> None:
    secret = await desk.endpoint("/hook", "org_1")
    await desk.sender()
    event = desk.event("org_1")
    await desk.receive(event)
    await eventually(desk.reach(("delivered", 1)), "the event is delivered")
    [received] = desk.receiver.received
    assert received.body == event.body
    assert received.headers["webhook-id"] == event.event_id
    Webhook(secret).verify(received.body, received.headers, json_parse=False)
    fields = dict(part.split("=", 1) for part in received.headers["Pools-Signature"].split(","))
    signed = fields["t"].encode() + b"." + received.body
    assert fields["v1"] == hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert (received.headers["X-Request-Id"], received.headers["Content-Type"]) == ("req_test", "application/json")


async def test_every_endpoint_of_the_organization_gets_its_own_and_no_other_does(desk: Desk) -> None:
    for path, organization_id in (("/a", "org_1"), ("/b", "org_1"), ("/c", "org_2")):
        await desk.endpoint(path, organization_id)
    await desk.sender()
    await desk.receive(desk.event("org_1"), desk.event("org_3"))
    await eventually(desk.reach(("delivered", 1), ("delivered", 1)), "both are delivered")
    assert sorted(received.path for received in desk.receiver.received) == ["/a", "/b"]


async def test_an_event_received_again_and_again_is_delivered_once(desk: Desk) -> None:
    await desk.endpoint("/hook", "org_1")
    await desk.sender()
    event = desk.event("org_1")
    await asyncio.gather(*(desk.receive(event, event) for _ in range(10)))
    await desk.receive(event)
    await eventually(desk.reach(("delivered", 1)), "the event is delivered")
    assert len(desk.receiver.received) == 1


async def test_returned_is_stored_and_told_to_nobody(desk: Desk) -> None:
    await desk.endpoint("/hook", "org_1")
    await desk.receive(desk.event("org_1", "pool.transaction.returned"))
    assert await desk.states() == []
    assert await desk.database.fetch_value("SELECT count(*) FROM terminal_events") == 1


async def test_a_failed_attempt_is_recorded_and_repeated_with_the_same_id_and_bytes(desk: Desk) -> None:
    await desk.endpoint("/in-turn", "org_1")
    desk.receiver.answers = [500, 302]
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await eventually(desk.reach(("delivered", 3)), "the third attempt succeeds")
    received = desk.receiver.received
    assert len({(one.headers["webhook-id"], one.body) for one in received}) == 1
    rows = await desk.database.fetch("SELECT number, status_code, failure FROM delivery_attempts ORDER BY number")
    assert [tuple(row) for row in rows] == [(1, 500, None), (2, 302, None), (3, 200, None)]


async def test_after_the_last_attempt_it_is_given_up(desk: Desk) -> None:
    await desk.endpoint("/in-turn", "org_1")
    desk.receiver.answers = [500] * 9
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await eventually(desk.reach(("dead", 3)), "it is given up")
    assert len(desk.receiver.received) == 3


async def test_redirects_are_not_followed(desk: Desk) -> None:
    await desk.endpoint("/redirect", "org_1")
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await eventually(desk.reach(("dead", 3)), "it is given up")
    assert desk.receiver.at("/elsewhere") == []


async def test_an_endpoint_that_answers_a_novel_is_cut_off_and_still_delivered(desk: Desk) -> None:
    await desk.endpoint("/novel", "org_1")
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await eventually(desk.reach(("delivered", 1)), "it is delivered")


async def test_an_endpoint_that_refuses_connections_is_a_failed_attempt(desk: Desk) -> None:
    desk.receiver.url = "http://127.0.0.1:1"
    await desk.endpoint("/hook", "org_1")
    await desk.sender()
    await desk.receive(desk.event("org_1"))
    await eventually(desk.reach(("dead", 3)), "it is given up")
    failures = await desk.database.fetch("SELECT DISTINCT failure FROM delivery_attempts")
    assert [row["failure"] for row in failures] == ["connection_failed"]


async def test_an_endpoint_that_never_answers_does_not_delay_anothers(desk: Desk) -> None:
    for number in range(10):
        await desk.endpoint(f"/never/{number}", "org_stuck")
    await desk.endpoint("/well", "org_well")
    await desk.sender()
    await desk.receive(*(desk.event("org_stuck") for _ in range(60)))
    await eventually(lambda: len(desk.receiver.received) >= 160, "the stuck endpoints are all at their bound")
    await desk.receive(*(desk.event("org_well") for _ in range(100)))
    await eventually(lambda: len(desk.receiver.at("/well")) == 100, "the others are delivered meanwhile", seconds=5)
    stuck = [received for received in desk.receiver.received if received.path.startswith("/never")]
    assert len(stuck) == 160


@pytest.mark.parametrize("known", [False, True], ids=["not yet known", "known to fail"])
async def test_however_many_endpoints_never_answer_anothers_first_delivery_is_not_delayed(
    desk: Desk, known: bool
) -> None:
    for number in range(60):
        await desk.endpoint(f"/never/{number}", "org_stuck")
    await desk.endpoint("/well", "org_well")
    if known:
        await desk.database.execute("UPDATE webhook_endpoints SET failing_since = now() WHERE url LIKE '%never%'")
    await desk.receive(*(desk.event("org_stuck") for _ in range(20)))
    await desk.sender(lanes=(128, 16, 32 if known else 64))
    await eventually(lambda: len(desk.receiver.received) >= (32 if known else 60), "the stuck ones have their places")
    for number in range(1, 6):
        started = time.monotonic()
        await desk.receive(desk.event("org_well"))
        await eventually(lambda: len(desk.receiver.at("/well")) == number, "it is delivered")  # noqa: B023
        assert time.monotonic() - started < 1
    stuck = [received.path for received in desk.receiver.received if received.path.startswith("/never")]
    assert len(stuck) <= (32 if known else 128 - 1)
    assert known or len(set(stuck)) == 60, "each of them has had its first attempt"


async def test_two_senders_never_make_the_same_attempt_twice(desk: Desk) -> None:
    for number in range(5):
        await desk.endpoint(f"/hook/{number}", "org_1")
    await desk.sender()
    await desk.sender()
    for _ in range(8):
        await desk.receive(*(desk.event("org_1") for _ in range(10)))
    await eventually(desk.reach(*[("delivered", 1)] * 400), "all are delivered")
    seen = [(received.path, received.headers["webhook-id"]) for received in desk.receiver.received]
    assert len(seen) == len(set(seen)) == 400


async def test_endpoints_with_much_to_get_take_turns(desk: Desk) -> None:
    for number in range(6):
        await desk.endpoint(f"/hook/{number}", "org_1")
    await desk.receive(*(desk.event("org_1") for _ in range(30)))
    await desk.sender(lanes=(4, 2, 4))
    await eventually(lambda: len(desk.receiver.received) == 180, "all are delivered")
    order = [received.path for received in desk.receiver.received]
    last_first = max(order.index(path) for path in set(order))
    first_last = min(len(order) - order[::-1].index(path) for path in set(order))
    assert last_first < 24 < first_last, "everyone has begun long before anyone is done"


async def claim(desk: Desk, claim_seconds: float) -> list[ClaimedDelivery]:
    return await claim_due(
        desk.database, closed=(), narrow=(), endpoint_max=9, count_max=9, failing_max=9, claim_seconds=claim_seconds
    )


async def test_an_attempt_that_dies_with_its_sender_is_made_again(desk: Desk) -> None:
    await desk.endpoint("/hook", "org_1")
    await desk.receive(desk.event("org_1"))
    # Claimed by someone who is never heard of again.
    assert [delivery.number for delivery in await claim(desk, 0.0)] == [1]
    await desk.sender()
    await eventually(desk.reach(("delivered", 2)), "the second attempt succeeds")


async def test_what_is_claimed_is_nobody_elses(desk: Desk) -> None:
    await desk.endpoint("/hook", "org_1")
    await desk.receive(desk.event("org_1"))
    claims = await asyncio.gather(*(claim(desk, 30.0) for _ in range(5)))
    assert sorted(len(claimed) for claimed in claims) == [0, 0, 0, 0, 1]


async def test_only_some_of_each_endpoints_are_claimed_at_once(desk: Desk) -> None:
    for path in ("/a", "/b", "/c", "/d", "/e"):
        await desk.endpoint(path, "org_1")
    await desk.receive(*(desk.event("org_1") for _ in range(5)))
    rows = await desk.database.fetch("SELECT endpoint_id, url FROM webhook_endpoints")
    id_of = {row["url"][-1]: row["endpoint_id"] for row in rows}
    name_of = {endpoint_id: name for name, endpoint_id in id_of.items()}
    await desk.database.execute(
        "UPDATE webhook_endpoints SET failing_since = now() WHERE endpoint_id IN ($1, $2)", id_of["d"], id_of["e"]
    )

    async def taken(count_max: int, failing_max: int) -> Counter[str]:
        claimed = await claim_due(
            desk.database,
            closed=[id_of["a"]],
            narrow=[id_of["b"]],
            endpoint_max=3,
            count_max=count_max,
            failing_max=failing_max,
            claim_seconds=30,
        )
        assert [name for name in "de" if name in {name_of[one.endpoint_id] for one in claimed if not one.failing}] == []
        return Counter(name_of[one.endpoint_id] for one in claimed)

    assert await taken(99, failing_max=0) == {"b": 1, "c": 3}
    assert (await taken(99, failing_max=1)) in ({"b": 1, "c": 2, "d": 1}, {"b": 1, "c": 2, "e": 1})
    assert await taken(2, failing_max=9) == {"b": 1, "d": 1}


@pytest.mark.parametrize(
    "url", ["https://localhost:8443/", "https://127.0.0.1/", "https://[::1]/", "http://example.com/"]
)
async def test_outside_development_nothing_private_is_connected_to(desk: Desk, url: str) -> None:
    poster = WebhookPoster(desk.cipher, allow_private=False)
    secrets = (desk.cipher.encrypt(new_webhook_secret()),)
    delivery = ClaimedDelivery("whd_1", "whk_1", 1, "event", url, secrets, b"{}", "req_test", TRACEPARENT)
    result = await poster(delivery)
    await poster.close()
    assert (result.status_code, result.failure) == (0, "address_not_allowed")
