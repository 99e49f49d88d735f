"""What each event posts: the contract's examples to the last digit, and what holds for every amount there can be."""

from decimal import Decimal

import pytest
from hypothesis import assume, given

from ledger.domain.accounts import SPREAD, TREASURER, UNALLOCATED, sub_account_of
from ledger.domain.amounts import text_of
from ledger.domain.events import PayinAllocated, PayinCredited, TradeTerminal, TreasuryMoved
from ledger.domain.postings import PARTNER_REASONS, Posting, postings_of
from tests.unit.ledger.builders import (
    ORGANIZATION,
    SALE,
    TRADE,
    Price,
    crypto_amounts,
    event,
    fiat_amounts,
    prices,
    returned,
    sums,
)


def lines(posting: Posting) -> list[tuple[str, str, str]]:
    """The legs as kind, currency and amount."""
    return [(account.kind, account.currency, text_of(amount, account.currency)) for account, amount in posting.legs]


def test_settled_buy_posts_the_six_legs_of_the_contract() -> None:
    [posting] = postings_of(event(TRADE))
    assert lines(posting) == [
        ("partner", "EUR", "-100.00"),
        ("fees", "EUR", "0.20"),
        ("conversion", "EUR", "99.80"),
        ("conversion", "USDT", "-108.283000"),
        ("spread", "USDT", "0.378991"),
        ("inventory", "USDT", "107.904009"),
    ]
    assert (posting.reason, posting.organization_id) == ("buy_debit", ORGANIZATION)


def test_settled_sell_posts_the_six_legs_of_the_contract() -> None:
    [posting] = postings_of(event(SALE))
    assert lines(posting) == [
        ("partner", "EUR", "91.65"),
        ("fees", "EUR", "0.19"),
        ("spread", "EUR", "0.32"),
        ("conversion", "EUR", "-92.16"),
        ("conversion", "USDT", "100.000000"),
        ("inventory", "USDT", "-100.000000"),
    ]
    assert posting.reason == "sell_credit"


def test_payin_credits_the_partner_from_the_bank() -> None:
    [posting] = postings_of(event(PayinCredited("EUR", 100_000)))
    assert lines(posting) == [("partner", "EUR", "1000.00"), ("bank", "EUR", "-1000.00")]
    assert posting.reason == "payin_credit"


def test_payin_nobody_claims_waits_in_suspense() -> None:
    [posting] = postings_of(event(PayinCredited("EUR", 100_000), UNALLOCATED))
    assert lines(posting) == [("suspense", "EUR", "1000.00"), ("bank", "EUR", "-1000.00")]
    assert posting.organization_id == UNALLOCATED
    assert posting.reason not in PARTNER_REASONS


def test_allocation_moves_suspense_to_the_partner_through_one_clearing_account() -> None:
    out, into = postings_of(event(PayinAllocated("ab" * 32, "EUR", 100_000)))
    assert lines(out) == [("suspense", "EUR", "-1000.00"), ("clearing", "EUR", "1000.00")]
    assert lines(into) == [("partner", "EUR", "1000.00"), ("clearing", "EUR", "-1000.00")]
    assert (out.organization_id, into.organization_id) == (UNALLOCATED, ORGANIZATION)
    assert out.legs[1][0] is into.legs[1][0]
    assert into.reason == "payin_credit"
    [suspended] = postings_of(event(PayinCredited("EUR", 100_000), UNALLOCATED))
    assert out.legs[0][0] is suspended.legs[0][0]


@pytest.mark.parametrize(
    ("units", "inventory", "treasury"), [(5_000_000, "-5.000000", "5.000000"), (-1, "0.000001", "-0.000001")]
)
def test_treasury_movement_moves_the_pools_inventory(units: int, inventory: str, treasury: str) -> None:
    [posting] = postings_of(event(TreasuryMoved("EUR-USDT", "USDT", units), TREASURER))
    assert lines(posting) == [("inventory", "USDT", inventory), ("treasury", "USDT", treasury)]
    assert posting.legs[0][0].pool_id == "EUR-USDT"


def test_payout_limit_in_fiat_has_no_account() -> None:
    assert postings_of(event(TreasuryMoved("EUR-USDT", "EUR", 100), TREASURER)) == ()


@pytest.mark.parametrize("status", ["failed", "released"])
def test_trade_that_was_never_delivered_posts_nothing(status: str) -> None:
    assert postings_of(event(TRADE._replace(status=status))) == ()


def test_only_inventory_is_kept_by_pool() -> None:
    [posting] = postings_of(event(TRADE))
    assert [account.pool_id for account, _ in posting.legs] == ["", "", "", "", "", "EUR-USDT"]


def test_system_legs_go_to_the_part_of_their_organization() -> None:
    [posting] = postings_of(event(TRADE))
    assert {account.sub_account for account, _ in posting.legs[1:]} == {sub_account_of(ORGANIZATION)}
    # Fixed for good: another value would split an organization's history between two accounts.
    assert sub_account_of("org_01KAPJDTG0XBPF23V128XAA8B5") == 11
    assert sub_account_of("treasury") == 0


@given(prices, fiat_amounts)
def test_buy_sums_to_zero_and_spread_is_never_negative(price: Price, fiat: Decimal) -> None:
    trade = price.buy(fiat)
    assume(trade is not None)
    assert trade is not None
    check(trade)


@given(prices, crypto_amounts)
def test_sell_sums_to_zero_and_spread_is_never_negative(price: Price, crypto: Decimal) -> None:
    trade = price.sell(crypto)
    assume(trade is not None)
    assert trade is not None
    check(trade)


def check(trade: TradeTerminal) -> None:
    """Zero by currency, no negative spread, and the return its exact mirror on the same accounts."""
    [posting] = postings_of(event(trade))
    assert not any(sums(posting).values())
    [spread] = [amount for account, amount in posting.legs if account.kind == SPREAD]
    assert spread >= 0
    [mirror] = postings_of(event(returned(trade)))
    assert mirror.legs == tuple((account, -amount) for account, amount in posting.legs)


def test_return_says_so_to_the_partner() -> None:
    assert postings_of(event(returned(TRADE)))[0].reason == "buy_refund"
    assert postings_of(event(returned(SALE)))[0].reason == "sell_reversal"
