"""Pages: sequences, links and balances in order, sums by account, and the ends of holds."""

import pytest

from ledger.domain.accounts import partner_account
from ledger.domain.chain import first_link
from ledger.domain.drafts import drafts_of
from ledger.domain.events import Event, PayinCredited
from ledger.domain.pages import Page, ending_of
from ledger.domain.postings import postings_of
from tests.unit.ledger.builders import ORGANIZATION, SALE, TRADE, event, returned

PARTNER = partner_account(ORGANIZATION, "EUR").name


class Names(dict[str, int]):
    """Numbers accounts as they are asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self) + 1
        return self[name]


def page_of(*events: Event) -> tuple[Page, Names]:
    """The events on one page, on books that are empty."""
    names = Names({PARTNER: 1})
    page = Page(names, {ORGANIZATION: (0, first_link(ORGANIZATION))}, {1: 0})
    for number, each in enumerate(events, 1):
        page.add(each, drafts_of(each, postings_of(each)), number * 2)
    return page, names


def test_transactions_follow_each_other() -> None:
    page, _ = page_of(
        event(PayinCredited("EUR", 100_000), event_id="aa" * 32),
        event(TRADE),
        event(returned(TRADE), event_id="cc" * 32),
    )
    assert [row[0] for row in page.transactions] == [2, 4, 6]
    assert [row[3] for row in page.transactions] == [1, 2, 3]
    assert [after for after in page.balances_after if after] == ["1000.00", "900.00", "1000.00"]
    assert page.heads[ORGANIZATION] == (3, page.transactions[-1][6])
    assert len({row[6] for row in page.transactions}) == 3


def test_each_account_moves_once_whatever_it_takes() -> None:
    page, names = page_of(event(TRADE), event(TRADE, event_id="cc" * 32))
    assert [(account_id, movement.amount, movement.entries) for account_id, movement in page.partners.items()] == [
        (1, "-200.00", 2)
    ]
    assert page.systems[names["inventory:USDT:11:EUR-USDT"]].amount == "215.808018"
    assert len(page.systems) == 5


def test_balance_may_become_negative() -> None:
    page, _ = page_of(event(TRADE))
    assert page.balances_after[0] == "-100.00"


def test_leg_of_zero_is_not_written() -> None:
    page, _ = page_of(event(TRADE._replace(fee=0)))
    assert page.legs == ["1", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("status", "side", "ending"),
    [
        ("settled", "on_ramp", "consumed"),
        ("failed", "on_ramp", "voided"),
        ("released", "on_ramp", "voided"),
        ("returned", "on_ramp", ""),
        ("settled", "off_ramp", ""),
        ("failed", "off_ramp", ""),
    ],
)
def test_terminal_status_ends_a_buyers_hold(status: str, side: str, ending: str) -> None:
    assert ending_of(TRADE._replace(status=status, side=side)) == ending


def test_failed_trade_touches_only_the_hold() -> None:
    page, _ = page_of(event(TRADE._replace(status="failed")))
    assert not page.transactions
    assert {trade: ending for trade, (_, _, ending) in page.endings.items()} == {TRADE.trade_id: "voided"}
    assert page.partners[1].amount == "0.00"


def test_sellers_settlement_ends_no_hold() -> None:
    page, _ = page_of(event(SALE))
    assert not page.endings
