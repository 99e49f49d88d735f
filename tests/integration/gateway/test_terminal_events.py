"""Terminal events from Kafka to a partner's endpoint, through the running gateway."""

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from standardwebhooks import Webhook

from poolkit.ids import event_id, new_id
from poolkit.kafka import TRADE_TERMINAL, Message, Producer, topic
from pools.events.v1 import events_pb2
from pools.gateway.v1 import admin_pb2
from pools.types.v1 import types_pb2
from tests.integration.gateway.house import TRACEPARENT
from tests.integration.gateway.neighbours import House
from tests.integration.gateway.receiver import receiving
from tests.unit.gateway.test_views import TRADE, TRADE_JSON
from tests.waiting import eventually


def message(organization_id: str, transact_id: str, kind: str, status: types_pb2.TradeStatus.ValueType) -> Message:
    """The event as the trade service's relay sends it."""
    own_id = event_id(transact_id, kind)
    trade = types_pb2.Trade()
    trade.CopyFrom(TRADE)
    trade.transact_id = transact_id
    trade.status = status
    event = events_pb2.TradeTerminal(
        header=events_pb2.EventHeader(
            event_id=own_id,
            type=kind,
            mode=types_pb2.MODE_TEST,
            organization_id=organization_id,
            request_id="req_reserved",
            occur_time=Timestamp(seconds=1_795_341_615, nanos=1_000_000),
            business_date="2026-11-22",
        ),
        trade=trade,
        number=1,
    )
    headers = {
        "event-id": own_id,
        "type": kind,
        "schema": "pools.events.v1.TradeTerminal",
        "request-id": "req_reserved",
        "traceparent": TRACEPARENT,
        "mode": "test",
    }
    return Message(
        topic(TRADE_TERMINAL, "test"),
        organization_id.encode(),
        event.SerializeToString(),
        [(name, value.encode()) for name, value in headers.items()],
    )


@pytest.mark.parametrize("kind", ["settled", "failed", "released"])
async def test_a_terminal_event_reaches_the_partner_signed_once(house: House, bootstrap: str, kind: str) -> None:
    partner = await house.gateway.new_partner()
    transact_id = new_id("pt", "test")
    status = types_pb2.TradeStatus.Value(f"TRADE_STATUS_{kind.upper()}")
    sent = message(partner.organization_id, transact_id, f"pool.transaction.{kind}", status)
    returned = message(
        partner.organization_id, transact_id, "pool.transaction.returned", types_pb2.TRADE_STATUS_RETURNED
    )
    producer = Producer(bootstrap, client_id="test")
    async with receiving() as receiver:
        endpoint = await house.gateway.internal.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=f"{receiver.url}/hook")
        )
        for event in (sent, sent, returned, sent):
            await producer.send(event)
        await eventually(lambda: len(receiver.received) == 1, "the webhook arrives")
        [received] = receiver.received
        listed = admin_pb2.ListDeliveriesRequest(organization_id=partner.organization_id)

        async def delivered() -> bool:
            response = await house.gateway.internal.admin.ListDeliveries(listed)
            return [one.state for one in response.deliveries] == [admin_pb2.DELIVERY_STATE_DELIVERED]

        await eventually(delivered, "the one delivery is recorded")
        [delivery] = (await house.gateway.internal.admin.ListDeliveries(listed)).deliveries
        assert len(receiver.received) == 1
    await producer.stop()
    own_id = event_id(transact_id, f"pool.transaction.{kind}")
    Webhook(endpoint.secret).verify(received.body, received.headers, json_parse=False)
    assert received.headers["webhook-id"] == own_id
    assert json.loads(received.body) == {
        "eventId": own_id,
        "type": f"pool.transaction.{kind}",
        "createdAt": "2026-11-22T10:00:15.001Z",
        "data": {**TRADE_JSON, "transactId": transact_id, "status": kind},
    }
    assert (delivery.event_id, delivery.attempt_count, delivery.last_status_code) == (own_id, 1, 200)
    assert (delivery.endpoint_id, len(delivery.body_sha256)) == (endpoint.endpoint_id, 64)


async def test_what_is_no_terminal_event_is_set_aside_and_holds_up_nobody(house: House, bootstrap: str) -> None:
    partner = await house.gateway.new_partner()
    good = message(
        partner.organization_id,
        new_id("pt", "test"),
        "pool.transaction.settled",
        types_pb2.TRADE_STATUS_SETTLED,
    )
    producer = Producer(bootstrap, client_id="test")
    async with receiving() as receiver:
        await house.gateway.internal.admin.CreateWebhookEndpoint(
            admin_pb2.CreateWebhookEndpointRequest(organization_id=partner.organization_id, url=f"{receiver.url}/hook")
        )
        await producer.send(good._replace(value=b"\xff\xff"))
        await producer.send(good._replace(value=b""))
        await producer.send(good)
        await eventually(lambda: len(receiver.received) == 1, "the good one arrives")
    await producer.stop()
