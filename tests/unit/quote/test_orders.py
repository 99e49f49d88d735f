"""Orders: each thing a pool does not take is refused by the name of its field, limits apply to the fiat side."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from poolkit.errors import InvalidRequest
from quote.domain.orders import Order, check_order, price_order
from quote.domain.pools import Side, Tier
from quote.domain.pricing import Terms
from tests.unit.quote.test_pricing import POOL, terms_of

ORDER = Order(
    pool_id="EUR-USDT",
    side=Side.ON_RAMP,
    amount="100.00",
    currency="EUR",
    network="tron",
    destination_address="TQabcdefgh0001",
    client_reference="mobile_checkout_123",
    tier="standard",
    firm=True,
)
SALE = replace(ORDER, side=Side.OFF_RAMP, destination_address="")


def test_order_that_fits_answers_its_amount() -> None:
    assert check_order(ORDER, POOL, "test") == Decimal("100.00")
    assert check_order(replace(SALE, amount="100.123456", currency="USDT"), POOL, "test") == Decimal("100.123456")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"side": None}, "side"),
        ({"currency": "GBP"}, "amountCurrency"),
        ({"currency": "USDC"}, "amountCurrency"),
        ({"currency": ""}, "amountCurrency"),
        ({"amount": "100.001"}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"amount": "-1.00"}, "amount"),
        ({"amount": "1e2"}, "amount"),
        ({"amount": "01.00"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "1.0000001", "currency": "USDT"}, "amount"),
        ({"network": "bitcoin"}, "network"),
        ({"network": ""}, "network"),
        ({"destination_address": ""}, "destinationAddress"),
        ({"destination_address": "TQ abc"}, "destinationAddress"),
        ({"destination_address": "T"}, "destinationAddress"),
        ({"destination_address": "T" * 129}, "destinationAddress"),
        ({"client_reference": "x" * 129}, "clientReference"),
        ({"client_reference": "a\x00b"}, "clientReference"),
    ],
)
def test_order_that_does_not_fit_is_refused_by_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_order(replace(ORDER, **changes), POOL, "test")
    assert refused.value.field == field


def test_off_ramp_order_takes_no_address() -> None:
    assert check_order(SALE, POOL, "test")
    with pytest.raises(InvalidRequest) as refused:
        check_order(replace(SALE, destination_address="TQabcdefgh0001"), POOL, "test")
    assert refused.value.field == "destinationAddress"


def test_side_that_the_pool_does_not_offer_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_order(SALE, replace(POOL, sides=(Side.ON_RAMP,)), "test")
    assert refused.value.field == "side"


@pytest.mark.parametrize(
    ("order", "amount", "fits"),
    [
        (ORDER, "1.00", True),
        (ORDER, "0.99", False),
        (ORDER, "50000.00", True),
        (ORDER, "50000.01", False),
        # 1.00 EUR buys 1.070390, and 50000.00 EUR buys 53952.004750 at these terms.
        (replace(ORDER, currency="USDT"), "1.070390", True),
        (replace(ORDER, currency="USDT"), "1.059577", False),
        (replace(ORDER, currency="USDT"), "53952.004750", True),
        (replace(ORDER, currency="USDT"), "53952.004751", False),
        # 1.10 USDT are 1.01 EUR gross, less a fee of 0.01.
        (replace(SALE, currency="USDT"), "1.10", True),
        (replace(SALE, currency="USDT"), "1.09", False),
        (SALE, "50000.00", True),
        (SALE, "50000.01", False),
        (SALE, "0.99", False),
    ],
)
def test_limits_apply_to_the_fiat_side_whichever_is_given(order: Order, amount: str, fits: bool) -> None:
    terms = terms_of("1.085000")
    if fits:
        made = price_order(order, Decimal(amount), POOL, terms)
        assert POOL.order_min <= made.fiat <= POOL.order_max
        return
    with pytest.raises(InvalidRequest) as refused:
        price_order(order, Decimal(amount), POOL, terms)
    assert refused.value.field == "amount"


def test_terms_take_their_digits_from_the_pool_s_currencies() -> None:
    terms = Terms.of(POOL, Tier("premium", 0, 0, 1), Decimal("1.5"))
    assert (terms.fiat_digits, terms.crypto_digits) == (2, 6)
