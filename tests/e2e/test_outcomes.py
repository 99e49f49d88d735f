"""Each outcome of the sandbox ends where the contract says, with exactly its entries, for 100.00 EUR at 1.085000."""

from decimal import Decimal

import pytest

from poolctl.receiver import WebhookReceiver
from tests.e2e.databases import Databases
from tests.e2e.partners import SETTLES, Partner
from tests.waiting import eventually

# Source: CONTRACT §8, by kind of account and currency.
SETTLED = {
    ("partner", "EUR"): "-100.00",
    ("fees", "EUR"): "0.20",
    ("conversion", "EUR"): "99.80",
    ("conversion", "USDT"): "-108.283000",
    ("spread", "USDT"): "0.378991",
    ("inventory", "USDT"): "107.904009",
}
BOUGHT = {("buy_debit", *account): Decimal(amount) for account, amount in SETTLED.items()}
REFUNDED = {("buy_refund", *account): -Decimal(amount) for account, amount in SETTLED.items()}
NOTHING: dict[tuple[str, str, str], Decimal] = {}

OUTCOMES = {
    # digits: (status, legs, state of the hold, available afterwards, webhooks in order)
    "0001": ("settled", BOUGHT, "consumed", "900.00", ["settled"]),
    "0002": ("failed", NOTHING, "voided", "1000.00", ["failed"]),
    "0003": ("released", NOTHING, "voided", "1000.00", ["released"]),
    "0004": ("returned", BOUGHT | REFUNDED, "consumed", "1000.00", ["settled"]),
    "0005": ("reserved", NOTHING, "open", "900.00", []),
    "0006": ("returned", BOUGHT | REFUNDED, "consumed", "1000.00", ["settled"]),
    "0042": ("settled", BOUGHT, "consumed", "900.00", ["settled"]),
}


@pytest.mark.parametrize("digits", OUTCOMES)
async def test_an_outcome_ends_in_its_status_with_its_entries_and_its_webhook(
    partner: Partner, receiver: WebhookReceiver, databases: Databases, digits: str
) -> None:
    status, legs, hold, available, webhooks = OUTCOMES[digits]
    trade_id = (await partner.rest.accept(destinationAddress=SETTLES[:-4] + digits))["transactId"]

    async def ended() -> bool:
        trade = (await partner.rest.trade(trade_id)).json()
        assert trade["status"] == status
        assert await databases.legs_of_trade(trade_id) == legs
        assert await databases.hold_of_trade(trade_id) == hold
        assert await partner.rest.available() == available
        told = [event.type.removeprefix("pool.transaction.") for event in receiver.events_of(trade_id)]
        assert told == webhooks
        return True

    await eventually(ended, f"a trade to …{digits} ended as {status}")


async def test_a_return_that_is_reported_first_and_everything_thrice_takes_effect_once(
    partner: Partner, databases: Databases
) -> None:
    trade_id = (await partner.rest.accept(destinationAddress=SETTLES[:-4] + "0006"))["transactId"]

    async def all_reports_processed() -> bool:
        found = await databases.rows(
            "trade", "SELECT to_status FROM transitions WHERE trade_id = $1 ORDER BY number", trade_id
        )
        assert [row["to_status"] for row in found] == ["reserved", "settled", "returned"]
        entries = (await partner.rest.ledger()).json()["entries"]
        assert [entry["reason"] for entry in entries] == ["buy_refund", "buy_debit", "payin_credit"]
        stored = await databases.rows(
            "webhook-ingest", "SELECT kind FROM webhooks WHERE transact_id = $1 ORDER BY received_at", trade_id
        )
        # Of three tellings each, one was the same event again, which is not stored twice.
        assert [row["kind"] for row in stored] == ["trade.returned"] * 2 + ["trade.settled"] * 2
        return True

    await eventually(all_reports_processed, "the return took effect")
