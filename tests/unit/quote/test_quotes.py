"""Quotes: the derived status and the order in which refusals apply."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from quote.domain.pools import Side
from quote.domain.quotes import Quote, Status, derive_status, refuse_consumption, refuse_rejection

QUOTE = Quote(
    quote_id="pq_test_1",
    organization_id="org_1",
    pool_id="EUR-USDT",
    side=Side.OFF_RAMP,
    fiat_currency="EUR",
    fiat_amount=Decimal("91.65"),
    crypto_currency="USDT",
    crypto_amount=Decimal(100),
    rate=Decimal("1.085"),
    spread_bps=35,
    fee_bps=20,
    fee_amount=Decimal("0.19"),
    network="tron",
    destination_address="",
    client_reference="",
    status=Status.ACTIVE,
    created_at=datetime(2026, 11, 22, tzinfo=UTC),
    expires_at=datetime(2026, 11, 22, 0, 0, 15, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("rejected", "consumed", "expired", "status"),
    [
        (True, True, True, Status.REJECTED),
        (True, False, False, Status.REJECTED),
        (False, True, True, Status.CONSUMED),
        (False, True, False, Status.CONSUMED),
        (False, False, True, Status.EXPIRED),
        (False, False, False, Status.ACTIVE),
    ],
)
def test_status_is_the_first_that_applies(rejected: bool, consumed: bool, expired: bool, status: Status) -> None:
    assert derive_status(rejected=rejected, consumed=consumed, expired=expired) is status


# In order of precedence: every row also has all that the rows below it complain of.
@pytest.mark.parametrize(
    ("quote", "organization_id", "pool_id", "refusal"),
    [
        (None, "org_2", "GBP-USDT", "not_found"),
        (replace(QUOTE, status=Status.REJECTED), "org_2", "GBP-USDT", "not_found"),
        (replace(QUOTE, status=Status.REJECTED), "org_1", "GBP-USDT", "not_found"),
        (replace(QUOTE, status=Status.REJECTED), "org_1", "EUR-USDT", "quote_rejected"),
        (replace(QUOTE, status=Status.CONSUMED), "org_1", "EUR-USDT", "quote_consumed"),
        (replace(QUOTE, status=Status.EXPIRED), "org_1", "EUR-USDT", "quote_expired"),
        (QUOTE, "org_1", "EUR-USDT", "off_ramp_not_enabled"),
    ],
)
def test_consumption_is_refused_by_the_first_reason_that_applies(
    quote: Quote | None, organization_id: str, pool_id: str, refusal: str
) -> None:
    refused = refuse_consumption(quote, organization_id=organization_id, pool_id=pool_id, off_ramp_enabled=False)
    assert refused is not None
    assert refused.code == refusal


@pytest.mark.parametrize(("quote", "off_ramp_enabled"), [(QUOTE, True), (replace(QUOTE, side=Side.ON_RAMP), False)])
def test_active_quote_of_one_s_own_can_be_consumed(quote: Quote, off_ramp_enabled: bool) -> None:
    assert (
        refuse_consumption(quote, organization_id="org_1", pool_id="EUR-USDT", off_ramp_enabled=off_ramp_enabled)
        is None
    )


@pytest.mark.parametrize(
    ("quote", "organization_id", "refusal"),
    [
        (None, "org_1", "not_found"),
        (QUOTE, "org_2", "not_found"),
        (replace(QUOTE, status=Status.REJECTED), "org_1", "quote_rejected"),
        (replace(QUOTE, status=Status.CONSUMED), "org_1", "quote_consumed"),
        (replace(QUOTE, status=Status.EXPIRED), "org_1", "quote_expired"),
        (QUOTE, "org_1", None),
    ],
)
def test_rejection_is_refused_by_the_first_reason_that_applies(
    quote: Quote | None, organization_id: str, refusal: str | None
) -> None:
    refused = refuse_rejection(quote, organization_id)
    assert (refused.code if refused else None) == refusal
