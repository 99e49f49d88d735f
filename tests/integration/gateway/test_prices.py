"""Prices over both edges, reckoned anew from the contract's words, and how many firm quotes may be active at once.

Source: CONTRACT §5.
"""

import asyncio
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

import pytest

from gateway.domain.views import quote_view
from pools.gateway.v1 import admin_pb2
from tests.integration.gateway.calls import EDGES, Answer, Caller
from tests.integration.gateway.neighbours import House

RATE, SPREAD, FEE = Decimal("1.085000"), Decimal(35) / 10_000, Decimal(20) / 10_000
CENT, UNIT = Decimal("0.01"), Decimal("0.000001")
ACTIVE_MAX = 100
"""Of the standard tier."""


def down(number: Decimal, step: Decimal) -> Decimal:
    return number.quantize(step, ROUND_FLOOR)


def up(number: Decimal, step: Decimal) -> Decimal:
    return number.quantize(step, ROUND_CEILING)


def crypto_for(fiat: Decimal) -> Decimal:
    """What so much fiat buys."""
    fee = up(fiat * FEE, CENT)
    return down((fiat - fee) * RATE * (1 - SPREAD), UNIT)


def fiat_for(crypto: Decimal) -> Decimal:
    """What so much crypto sells for."""
    with localcontext(prec=60):
        gross = down(crypto / RATE * (1 - SPREAD), CENT)
    return gross - up(gross * FEE, CENT)


def of(answer: Answer) -> dict[str, Any]:
    """The quote as JSON, whichever way it came."""
    assert answer.code == "ok", answer
    return answer.body if isinstance(answer.body, dict) else quote_view(answer.body.quote)


@pytest.mark.parametrize("edge", EDGES)
async def test_every_price_is_the_contracts(house: House, edge: str) -> None:
    partner = await house.onboard()
    await house.gateway.internal.admin.UpdateEntitlement(
        admin_pb2.UpdateEntitlementRequest(organization_id=partner.organization_id, off_ramp_enabled=True)
    )
    caller = Caller(house.gateway, house.http, edge, partner.secret_key)

    async def priced(side: str, amount: str, currency: str) -> tuple[Decimal, Decimal, Decimal]:
        address = "TQabcdefgh0001" if side == "on_ramp" else None
        quote = of(
            await caller.create_quote(
                side=side, amount=amount, amountCurrency=currency, destinationAddress=address, type="indicative"
            )
        )
        assert (quote["rate"], quote["spreadBps"], quote["feeBps"], quote["quoteId"]) == ("1.085000", 35, 20, None)
        return Decimal(quote["fiatAmount"]), Decimal(quote["cryptoAmount"]), Decimal(quote["feeAmount"])

    for amount in ("1.00", "33.33", "100.00", "49999.99"):
        fiat, crypto, fee = await priced("on_ramp", amount, "EUR")
        assert (fiat, crypto, fee) == (Decimal(amount), crypto_for(fiat), up(fiat * FEE, CENT))
        sold = await priced("off_ramp", amount, "EUR")
        assert (sold[0], fiat_for(sold[1])) == (Decimal(amount), Decimal(amount))
        assert fiat_for(sold[1] - UNIT) < Decimal(amount), "less crypto would have done"
    for amount in ("1.2", "107.904009", "107.90401", "53000"):
        fiat, crypto, fee = await priced("on_ramp", amount, "USDT")
        assert (crypto, fee) == (Decimal(amount), up(fiat * FEE, CENT))
        assert crypto_for(fiat) >= crypto > crypto_for(fiat - CENT), "not the smallest fiat that reaches it"
        sold = await priced("off_ramp", amount, "USDT")
        assert (sold[1], sold[0]) == (Decimal(amount), fiat_for(Decimal(amount)))


async def test_active_firm_quotes_are_bounded_for_the_organization_over_both_edges_together(house: House) -> None:
    partner, other = await house.onboard(), await house.onboard()
    callers = [Caller(house.gateway, house.http, edge, partner.secret_key) for edge in EDGES]
    answers = await asyncio.gather(
        *(callers[number % 2].create_quote(amount="1.00") for number in range(ACTIVE_MAX + 8))
    )
    codes = [answer.code for answer in answers]
    assert (codes.count("ok"), codes.count("too_many_active_quotes")) == (ACTIVE_MAX, 8)
    for caller in callers:
        refused = await caller.create_quote(amount="1.00")
        assert (refused.code, refused.retry_after) == ("too_many_active_quotes", 1)
        # What is not stored is not counted, and neither is another organization's.
        assert (await caller.create_quote(amount="1.00", type="indicative")).code == "ok"
        stranger = Caller(house.gateway, house.http, caller.edge, other.secret_key)
        assert (await stranger.create_quote(amount="1.00")).code == "ok"
    given = next(of(answer)["quoteId"] for answer in answers if answer.code == "ok")
    assert (await callers[0].reject_quote(given)).code == "ok"
    assert [(await caller.create_quote(amount="1.00")).code for caller in callers] == ["ok", "too_many_active_quotes"]
