"""Entitlements: what a change leaves alone, and which caps are none."""

from decimal import Decimal

import pytest

from gateway.domain.entitlement import EntitlementChange, EntitlementStatus, KycStatus
from poolkit.errors import InvalidRequest
from poolkit.money import Money
from tests.unit.gateway.test_gates import ENTITLEMENT


def test_what_is_not_named_stays() -> None:
    assert ENTITLEMENT.changed(EntitlementChange()) == ENTITLEMENT


def test_every_named_field_changes_and_pools_are_sorted_and_counted_once() -> None:
    after = ENTITLEMENT.changed(
        EntitlementChange(
            status=EntitlementStatus.SUSPENDED,
            kyc_status=KycStatus.REVOKED,
            tier="gold",
            pool_ids=("USD-USDT", "EUR-USDC", "USD-USDT"),
            off_ramp_enabled=True,
            balance_gate_enabled=False,
            notional_caps={"EUR": Decimal(1000)},
        )
    )
    assert (after.status, after.kyc_status, after.tier) == (EntitlementStatus.SUSPENDED, KycStatus.REVOKED, "gold")
    assert after.pool_ids == ("EUR-USDC", "USD-USDT")
    assert (after.off_ramp_enabled, after.balance_gate_enabled) == (True, False)
    assert after.notional_caps == (Money(Decimal(1000), "EUR"),)


def test_no_pools_at_all_is_not_the_same_as_pools_not_named() -> None:
    assert ENTITLEMENT.changed(EntitlementChange(pool_ids=())).pool_ids == ()


def test_caps_are_set_by_currency_and_removed_by_zero() -> None:
    both = ENTITLEMENT.changed(EntitlementChange(notional_caps={"USD": Decimal(5), "EUR": Decimal(7)}))
    assert [cap.currency for cap in both.notional_caps] == ["EUR", "USD"]
    one = both.changed(EntitlementChange(notional_caps={"USD": Decimal(0)}))
    assert one.notional_caps == (Money(Decimal(7), "EUR"),)


@pytest.mark.parametrize(("currency", "amount"), [("USDT", "1"), ("XYZ", "1"), ("EUR", "-1")])
def test_a_cap_in_no_fiat_currency_or_below_zero_is_refused(currency: str, amount: str) -> None:
    with pytest.raises(InvalidRequest):
        ENTITLEMENT.changed(EntitlementChange(notional_caps={currency: Decimal(amount)}))
