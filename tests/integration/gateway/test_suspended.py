"""Who is shut out is told nothing more by the API, but what was accepted goes on, and its webhooks with it."""

from __future__ import annotations

import json

from pools.gateway.v1 import admin_pb2
from tests.integration.gateway.calls import Caller
from tests.integration.gateway.neighbours import House
from tests.integration.gateway.receiver import receiving
from tests.waiting import eventually


async def test_a_suspended_partners_trade_settles_is_posted_and_told_of(house: House) -> None:
    partner = await house.onboard(money="1000.00")
    caller = Caller(house.gateway, house.http, "rest", partner.secret_key)
    trade = (await caller.transact((await caller.create_quote()).body["quoteId"], "k")).body
    admin = house.gateway.internal.admin

    async def become(status: admin_pb2.EntitlementStatus.ValueType, code: str) -> None:
        request = admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, status=status)
        await admin.UpdateEntitlement(request)

        async def known() -> bool:
            return (await caller.get_trade(trade["transactId"])).code == code

        await eventually(known, f"its calls are answered {code}", seconds=2.5)

    async with receiving() as receiver:
        endpoint = admin_pb2.CreateWebhookEndpointRequest(
            organization_id=partner.organization_id, url=f"{receiver.url}/hook"
        )
        await admin.CreateWebhookEndpoint(endpoint)
        await become(admin_pb2.ENTITLEMENT_STATUS_SUSPENDED, "pool_access_suspended")
        settled = {"networkTransactionId": "0xabc", "cryptoCurrency": "USDT", "cryptoAmount": trade["cryptoAmount"]}
        await house.report(trade["transactId"], "settled", **settled)
        [received] = await eventually(lambda: receiver.received, "its webhook arrives")
    told = json.loads(received.body)
    assert (told["type"], told["data"]["status"]) == ("pool.transaction.settled", "settled")
    assert told["data"]["transactId"] == trade["transactId"]

    await become(admin_pb2.ENTITLEMENT_STATUS_ACTIVE, "ok")

    async def posted() -> bool:
        reasons = [entry["reason"] for entry in (await caller.ledger()).body["entries"]]
        return reasons == ["buy_debit", "payin_credit"]

    await eventually(posted, "its money has moved")
