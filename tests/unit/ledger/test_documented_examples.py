"""docs/ledger.md says what the rules do: each documented event is posted, and must give the table under it."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ledger.domain.accounts import KINDS
from ledger.domain.amounts import minor_units, text_of
from ledger.domain.events import Cause, PayinAllocated, PayinCredited, TradeTerminal, TreasuryMoved, check_trade
from ledger.domain.postings import REASONS, postings_of
from tests.unit.ledger.builders import event

PAGE = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text(encoding="utf-8")
_SECTION = re.compile(r"^#{2,3} ", re.MULTILINE)
_EVENT = re.compile(r"```json\n(.+?)```", re.DOTALL)
_ROW = re.compile(r"^\| (\S+) \| (\S+) \| (\S+) \| (\S+) (\S+) \|$", re.MULTILINE)


class Example(NamedTuple):
    """One event of the page and what it is said to post, as chain, reason, account, amount, currency."""

    name: str
    fields: dict[str, str]
    rows: list[tuple[str, ...]]


EXAMPLES = [
    Example(section.partition("\n")[0], json.loads(found[1]), _ROW.findall(section))
    for section in _SECTION.split(PAGE)
    if (found := _EVENT.search(section))
]


def money(text: str) -> tuple[int, str]:
    amount, currency = text.split()
    return minor_units(amount, currency), currency


def cause_of(fields: dict[str, str]) -> Cause:
    """What the ledger understands of the documented event."""
    type_ = fields["event"]
    if type_.startswith("pool.transaction."):
        status = type_.removeprefix("pool.transaction.")
        (fiat, fiat_currency), (crypto, crypto_currency) = money(fields["fiat"]), money(fields["crypto"])
        known: dict[str, Any] = {"side": fields["side"], "status": status, "number": 2 if status == "returned" else 1}
        return check_trade(
            TradeTerminal(
                trade_id="pt_test_1",
                quote_id="pq_test_1",
                pool_id=fields["pool"],
                **known,
                fiat_currency=fiat_currency,
                fiat=fiat,
                fee=money(fields["fee"])[0],
                crypto_currency=crypto_currency,
                crypto=crypto,
                rate=fields["rate"],
                client_reference="",
            )
        )
    amount, currency = money(fields["amount"])
    if type_ == "payin.credited":
        return PayinCredited(currency, amount)
    if type_ == "payin.allocated":
        return PayinAllocated("ab" * 32, currency, amount)
    assert type_ == "treasury.moved"
    return TreasuryMoved(fields["pool"], currency, amount)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_documented_event_posts_the_table_under_it(example: Example) -> None:
    postings = postings_of(event(cause_of(example.fields), example.fields["organization"]))
    assert [
        (posting.organization_id, posting.reason, account.kind, text_of(units, account.currency), account.currency)
        for posting in postings
        for account, units in posting.legs
    ] == example.rows


def test_page_has_an_example_of_each_kind_of_event_and_of_each_reason() -> None:
    assert [example.name for example in EXAMPLES] == [
        "Pay-in",
        "Pay-in with an unknown reference",
        "Allocation",
        "Top-up",
        "Buy settled",
        "Buy failed",
        "Buy released",
        "Buy returned",
        "Sell settled",
        "Sell reversed",
    ]
    assert {row[1] for example in EXAMPLES for row in example.rows} == REASONS
    # No row of a table was overlooked.
    assert sum(len(example.rows) for example in EXAMPLES) == 34


def test_page_names_the_accounts_of_the_chart() -> None:
    chart = PAGE[PAGE.index("## Chart of accounts") : PAGE.index("All but `partner`")]
    assert tuple(re.findall(r"^\| `(\w+)` \|", chart, re.MULTILINE)) == KINDS
