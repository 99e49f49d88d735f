"""Protects the simulated bank: a transfer is told by a signed webhook, durable when the bank has its answer."""

from datetime import UTC, datetime

import pytest

from poolctl.sandbox.bank import post_payin
from poolctl.sandbox.delivery import WebhookRefused
from poolctl.sandbox.names import BANK_SOURCE
from poolkit.errors import Unavailable
from poolkit.security import new_webhook_secret
from tests.integration.webhook_ingest.door import NOWHERE, Door

MOMENT = datetime(2026, 11, 22, 10, tzinfo=UTC)


async def test_a_transfer_is_told_and_stored(door: Door) -> None:
    receipt = await post_payin(
        door.url,
        door.secrets[BANK_SOURCE],
        funding_reference="ABC",
        currency="EUR",
        amount="250.00",
        request_id="req-of-a-person",
    )
    (row,) = await door.stored(receipt.event_id)
    assert (row["webhook_id"], row["request_id"], receipt.duplicate) == (receipt.webhook_id, "req-of-a-person", False)
    assert (row["funding_reference"], row["bank_transaction_id"]) == ("ABC", receipt.bank_transaction_id)


async def test_each_call_is_another_transfer_unless_it_names_one(door: Door) -> None:
    async def transfer(bank_transaction_id: str = "") -> tuple[str, bool]:
        receipt = await post_payin(
            door.url,
            door.secrets[BANK_SOURCE],
            funding_reference="ABC",
            currency="EUR",
            amount="250.00",
            bank_transaction_id=bank_transaction_id,
            occurred_at=MOMENT,
        )
        return receipt.webhook_id, receipt.duplicate

    assert (await transfer())[0] != (await transfer())[0]
    webhook_id, duplicate = await transfer("bank_tx_1")
    assert not duplicate
    assert await transfer("bank_tx_1") == (webhook_id, True)


@pytest.mark.parametrize(("currency", "amount", "status"), [("EUR", "0.001", 400), ("USDT", "1.00", 400)])
async def test_what_is_never_taken_is_told_at_once(door: Door, currency: str, amount: str, status: int) -> None:
    with pytest.raises(WebhookRefused) as refused:
        await post_payin(door.url, door.secrets[BANK_SOURCE], funding_reference="ABC", currency=currency, amount=amount)
    assert refused.value.status == status
    assert b'"invalid_request"' in refused.value.body


async def test_a_door_that_stays_shut_is_unavailable(door: Door) -> None:
    for url, secret in [(f"http://{NOWHERE}", door.secrets[BANK_SOURCE]), (door.url, new_webhook_secret())]:
        with pytest.raises(Unavailable):
            await post_payin(url, secret, funding_reference="ABC", currency="EUR", amount="1.00")
