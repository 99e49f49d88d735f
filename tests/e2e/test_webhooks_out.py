"""Webhooks out from the command line: an endpoint off and on, its secret rotated, its deliveries found and replayed."""

from typing import Any

from standardwebhooks import Webhook

from tests.e2e.commands import Poolctl
from tests.e2e.partners import Partner
from tests.integration.gateway.receiver import receiving
from tests.waiting import eventually


async def test_what_a_disabled_endpoint_missed_is_found_goes_on_and_can_be_replayed(
    poolctl: Poolctl, partner: Partner
) -> None:
    async with receiving() as receiver:
        made = await poolctl.answer("partner", "endpoint", partner.organization_id, "--url", f"{receiver.url}/own")
        endpoint = made["endpointId"]
        disabled = await poolctl.answer("endpoint", "disable", endpoint)
        assert (disabled["state"], disabled["disabledReason"]) == ("disabled", "requested")

        trade = await partner.rest.accept()

        async def waiting() -> Any:
            found = await poolctl.answer(
                *("deliveries", "list", "--endpoint", endpoint, "--state", "pending"),
                *("--trade", trade["transactId"], "--since", "2020-01-01"),
            )
            return found["deliveries"]

        [row] = await eventually(waiting, "the delivery waits", every_seconds=0.5)
        assert (row["tradeId"], row["attempts"], receiver.received) == (trade["transactId"], 0, [])

        rotated = await poolctl.answer("endpoint", "rotate", endpoint)
        assert rotated["activeSecrets"] == 2
        assert (await poolctl.answer("endpoint", "enable", endpoint))["state"] == "enabled"
        await eventually(lambda: receiver.received, "what has waited goes on")
        replayed = await poolctl.answer("deliveries", "replay", "--endpoint", endpoint, "--since", "2020-01-01")
        assert replayed == {"replayed": [row["deliveryId"]]}
        await eventually(lambda: len(receiver.received) == 2, "it is posted again")
        again = await poolctl.answer("deliveries", "replay", row["deliveryId"])
        assert (again["replayed"], again["delivery"]["eventId"]) == ([row["deliveryId"]], row["eventId"])
        await eventually(lambda: len(receiver.received) == 3, "and again, by its own id")
        for received in receiver.received:
            assert received.headers["webhook-id"] == row["eventId"]
            for secret in (made["secret"], rotated["secret"]):
                Webhook(secret).verify(received.body, received.headers, json_parse=False)

        async def told() -> Any:
            shown = await poolctl.answer("deliveries", "show", row["deliveryId"])
            return shown if shown["delivery"]["state"] == "delivered" and len(shown["attempts"]) == 3 else None

        shown = await eventually(told, "every attempt is recorded", every_seconds=0.5)
        assert (shown["endpoint"]["endpointId"], shown["endpoint"]["state"]) == (endpoint, "enabled")
        assert [attempt["statusCode"] for attempt in shown["attempts"]] == [200] * 3
        assert trade["cryptoAmount"] not in str(shown), "a delivery is told without its payload"
