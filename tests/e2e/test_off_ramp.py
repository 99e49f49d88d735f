"""Selling crypto works from the quote to the books, for 100 USDT at 1.085000, and only for whom it is enabled."""

from decimal import Decimal
from typing import Any

import grpc
import pytest

from poolctl.receiver import WebhookReceiver
from poolctl.session import Session
from pools.gateway.v1 import admin_pb2
from pools.quote.v1 import quote_pb2
from tests.e2e.databases import Databases
from tests.e2e.partners import POOL, Partner, PartnerFactory
from tests.integration.gateway.calls import from_error
from tests.waiting import eventually

SALE: dict[str, Any] = {
    "side": "off_ramp", "amount": "100", "amountCurrency": "USDT", "destinationAddress": None,
}  # fmt: skip
# Source: CONTRACT §8, by kind of account and currency.
SETTLED = {
    ("partner", "EUR"): "91.65",
    ("fees", "EUR"): "0.19",
    ("spread", "EUR"): "0.32",
    ("conversion", "EUR"): "-92.16",
    ("conversion", "USDT"): "100",
    ("inventory", "USDT"): "-100",
}
SOLD = {("sell_credit", *account): Decimal(amount) for account, amount in SETTLED.items()}
REVERSED = {("sell_reversal", *account): -Decimal(amount) for account, amount in SETTLED.items()}
NOTHING: dict[tuple[str, str, str], Decimal] = {}

OUTCOMES = {
    # last four of the client reference: (status, legs, available afterwards, what leaves the pool's EUR, webhooks)
    "0001": ("settled", SOLD, "91.65", "91.65", ["settled"]),
    "0002": ("failed", NOTHING, "0.00", "0", ["failed"]),
    "0003": ("released", NOTHING, "0.00", "0", ["released"]),
    "0004": ("returned", SOLD | REVERSED, "0.00", "0", ["settled"]),
    "0006": ("returned", SOLD | REVERSED, "0.00", "0", ["settled"]),
}


@pytest.fixture
async def seller(partners: PartnerFactory, session: Session) -> Partner:
    """A partner without money that may sell."""
    partner = await partners(paid_in="0")
    await session.gateway.admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, off_ramp_enabled=True)
    )

    async def may_sell() -> bool:
        return (await partner.rest.quote(**SALE | {"type": "indicative"})).status_code == 200

    await eventually(may_sell, "the entitlement is in force")
    return partner


async def inventory(session: Session, currency: str) -> quote_pb2.Inventory:
    """The pool's inventory of one asset, as the quote service has it."""
    known = await session.quote.admin.ListInventory(quote_pb2.ListInventoryRequest())
    return next(row for row in known.inventory if (row.pool_id, row.total.currency) == (POOL, currency))


@pytest.mark.parametrize("digits", OUTCOMES)
async def test_a_sale_ends_as_its_reference_says_with_its_entries_to_the_digit(
    seller: Partner, receiver: WebhookReceiver, databases: Databases, session: Session, digits: str
) -> None:
    status, legs, available, paid_out, webhooks = OUTCOMES[digits]
    untouched = await inventory(session, "EUR")
    before, committed = Decimal(untouched.total.amount), untouched.committed.amount
    trade = await seller.rest.accept(**SALE, clientReference=f"sale-{digits}")
    trade_id = trade["transactId"]
    assert (trade["side"], trade["cryptoAmount"], trade["fiatAmount"]) == ("off_ramp", "100.000000", "91.65")
    assert (trade["feeAmount"], trade["destinationAddress"]) == ("0.19", None)
    assert trade["depositAddress"]
    assert (await seller.rest.trade(trade_id)).json()["depositAddress"] == trade["depositAddress"]
    once = "SELECT count(*) FROM trades WHERE deposit_address = $1"
    assert await databases.value("trade", once, trade["depositAddress"]) == 1
    # What arrives on the chain names nothing else.
    found = await session.gateway.support.FindJourney(admin_pb2.FindJourneyRequest(id=trade["depositAddress"]))
    assert trade_id in {record.ids["trade"] for record in found.records}

    async def ended() -> bool:
        now = (await seller.rest.trade(trade_id)).json()
        assert now["status"] == status
        assert await databases.legs_of_trade(trade_id) == legs
        # The partner gives crypto, which is not held here.
        assert await databases.hold_of_trade(trade_id) is None
        assert await seller.rest.available() == available
        assert [event.type.rpartition(".")[2] for event in receiver.events_of(trade_id)] == webhooks
        fiat = await inventory(session, "EUR")
        # Nobody else sells, so nobody else moves the pool's fiat.
        assert before - Decimal(fiat.total.amount) == Decimal(paid_out)
        assert fiat.committed.amount == committed
        return True

    await eventually(ended, f"a sale with …{digits} ended as {status}")
    reasons = [entry["reason"] for entry in (await seller.rest.ledger()).json()["entries"]]
    assert reasons == list(dict.fromkeys(reason for reason, _, _ in reversed(legs)))


async def test_after_sales_the_books_have_the_inventory_that_the_quote_service_has(
    seller: Partner, databases: Databases, session: Session
) -> None:
    await seller.rest.accept(**SALE, clientReference="sale-0001")
    booked = "SELECT -sum(amount) FROM journal WHERE kind = 'inventory' AND pool_id = $1 AND currency = 'USDT'"

    async def agree() -> bool:
        crypto = await inventory(session, "USDT")
        assert await databases.value("ledger", booked, POOL) == Decimal(crypto.total.amount)
        return await seller.rest.available() == "91.65"

    await eventually(agree, "ledger and quote service agree on the pool's crypto")


async def test_a_sale_whose_settlement_never_reports_stays_reserved_and_limits_the_payout(
    seller: Partner, databases: Databases, session: Session
) -> None:
    committed = Decimal((await inventory(session, "EUR")).committed.amount)
    trade = await seller.rest.accept(**SALE, clientReference="sale-0005")
    polled = await seller.rest.http.get(f"/v1/pools/transactions/{trade['quoteId']}")
    assert (polled.status_code, polled.json()["status"]) == (200, "reserved")
    assert Decimal((await inventory(session, "EUR")).committed.amount) - committed == Decimal("91.65")
    # The poll had the sandbox asked, which had nothing to say.
    asked = "SELECT outcome FROM status_polls WHERE transact_id = $1"
    assert await databases.value("webhook-ingest", asked, trade["transactId"]) == "no_news"
    assert await seller.rest.available() == "0.00"


async def test_where_it_is_not_enabled_neither_quote_nor_transact_sells(
    seller: Partner, partner: Partner, session: Session
) -> None:
    never = await partner.rest.quote(**SALE)
    assert (never.status_code, never.json()["code"]) == (501, "off_ramp_not_enabled")

    # Quoted while it was enabled, and consumed after it was taken away.
    quotes = [(await seller.rest.quote(**SALE)).json()["quoteId"] for _ in range(2)]
    await session.gateway.admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(organization_id=seller.organization_id, off_ramp_enabled=False)
    )

    async def not_enabled() -> bool:
        return (await seller.rest.quote(**SALE | {"type": "indicative"})).status_code == 501

    await eventually(not_enabled, "the entitlement is taken away")
    late = await seller.rest.transact(quotes[0])
    assert (late.status_code, late.json()["code"]) == (501, "off_ramp_not_enabled")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await seller.grpc.transact(quotes[1])
    assert from_error(refused.value).code == "off_ramp_not_enabled"
