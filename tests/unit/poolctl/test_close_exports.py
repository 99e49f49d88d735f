"""A close as JSON, CSV and page: the same figures, every exception, and nothing a stranger wrote runs anywhere."""

import csv
import io
import json
from collections.abc import AsyncIterator
from html.parser import HTMLParser

from google.protobuf.timestamp_pb2 import Timestamp

from poolctl.closes.csv_table import COLUMNS, write_csv
from poolctl.closes.json_document import write_json
from poolctl.closes.page import write_page
from pools.ledger.v1 import close_pb2, ledger_pb2
from pools.types.v1 import types_pb2

EUR = types_pb2.Money(amount="-100.00", currency="EUR")
HOSTILE = "=HYPERLINK(1)<script>alert(1)</script>"
CLOSE = close_pb2.Close(
    close_id="close_test_1",
    business_date="2026-11-22",
    mode=types_pb2.MODE_TEST,
    revision=2,
    cut_time=Timestamp(seconds=1_795_000_000),
    trial_balance=[ledger_pb2.TrialBalanceLine(account_kind="partner", amount=EUR, entry_count=3)],
    balanced=True,
    trade_totals=[
        close_pb2.TradeTotal(
            status=types_pb2.TRADE_STATUS_SETTLED, side=types_pb2.SIDE_ON_RAMP, trade_count=1, fiat=EUR
        )
    ],
    payin_totals=[close_pb2.PayinTotal(payin_count=1, amount=EUR)],
    inventory=[close_pb2.InventoryLine(pool_id="EUR-USDT", ledger=EUR, quote=EUR)],
    matched_count=1,
    exception_count=2,
    exception_totals=[close_pb2.ExceptionTotal(kind=close_pb2.EXCEPTION_KIND_AMOUNT_MISMATCH, exception_count=2)],
    changes=close_pb2.CloseChanges(added_count=1, sentences=[f"One more: {HOSTILE}"]),
)


async def found() -> AsyncIterator[close_pb2.CloseException]:
    for number in (1, 2):
        yield close_pb2.CloseException(
            number=number,
            kind=close_pb2.EXCEPTION_KIND_AMOUNT_MISMATCH,
            ids=close_pb2.ExceptionIds(trade_id=f"pt_test_{number}", client_reference=HOSTILE),
            amounts=[
                close_pb2.ExceptionAmount(side="trade", of="fiat", amount=EUR),
                close_pb2.ExceptionAmount(side="report", of="fiat"),
            ],
            occur_time=Timestamp(seconds=1_794_999_000),
            age_seconds=1000,
            description=f"They differ, {HOSTILE}",
            next_step="Ask the provider.",
            runbook="docs/runbooks/exceptions.md#amount-mismatch",
            candidates=[close_pb2.ExceptionCandidate(number=3 - number, kind=close_pb2.EXCEPTION_KIND_AMOUNT_MISMATCH)],
        )


async def test_the_document_holds_every_field_and_every_exception() -> None:
    target = io.StringIO()
    await write_json(target, CLOSE, found(), created=True)
    document = json.loads(target.getvalue())
    assert {field.json_name for field in CLOSE.DESCRIPTOR.fields} | {"created", "exceptions"} == set(document)
    assert document["mode"] == "test"
    assert document["revision"] == 2
    assert document["tradeTotals"][0] | {"fee": None} == {
        "status": "settled",
        "side": "on_ramp",
        "tradeCount": 1,
        "fiat": {"amount": "-100.00", "currency": "EUR"},
        "fee": None,
        "crypto": None,
    }
    assert document["signature"] is None
    first, second = document["exceptions"]
    assert first["ids"] == {"tradeId": "pt_test_1", "clientReference": HOSTILE}
    assert first["amounts"][1] == {"side": "report", "of": "fiat", "amount": None}
    assert second["candidates"][0]["kind"] == "amount_mismatch"


async def test_a_close_without_exceptions_is_a_document_too() -> None:
    async def none() -> AsyncIterator[close_pb2.CloseException]:
        for nothing in ():
            yield nothing

    target = io.StringIO()
    await write_json(target, CLOSE, none())
    assert json.loads(target.getvalue())["exceptions"] == []


async def test_the_table_holds_every_figure_and_every_exception_and_no_formula() -> None:
    target = io.StringIO()
    await write_csv(target, CLOSE, found())
    rows = list(csv.DictReader(io.StringIO(target.getvalue())))
    assert tuple(rows[0]) == COLUMNS
    sections = [row["section"] for row in rows]
    assert {name: sections.count(name) for name in dict.fromkeys(sections)} == {
        "summary": 4,
        "trial_balance": 1,
        "trades": 3,
        "payins": 2,
        "inventory": 2,
        "exceptions": 2,
    }
    assert rows[4] | {"amount": "-100.00", "currency": "EUR", "count": "3", "name": "partner"} == rows[4]
    last = rows[-1]
    assert last["trade_id"] == "pt_test_2"
    assert last["amounts"] == "trade fiat -100.00 EUR; report fiat unknown"
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "@", "+"))]


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name in ("src", "href")]
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


async def test_the_page_shows_figures_changes_and_exceptions_and_needs_no_network() -> None:
    target = io.StringIO()
    await write_page(target, CLOSE, found())
    page = Page(target.getvalue())
    assert "script" not in page.tags
    assert page.tags.count("section") == 2
    for words in (
        "test mode, revision 2", "The books balance.", "-100.00 EUR", f"One more: {HOSTILE}", "Ask the provider.",
        "2 amount mismatch", "all accounts",
    ):  # fmt: skip
        assert words in page.words


async def test_the_page_sets_what_each_side_says_side_by_side_and_marks_what_they_differ_about() -> None:
    async def one() -> AsyncIterator[close_pb2.CloseException]:
        said = {"trade": ("10.00", "0.02", "1.5"), "ledger": ("-10.00", "0.02", "1.5"), "report": ("", "", "1.4")}
        yield close_pb2.CloseException(
            number=1,
            kind=close_pb2.EXCEPTION_KIND_AMOUNT_MISMATCH,
            amounts=[
                close_pb2.ExceptionAmount(side=side, of=of, amount=types_pb2.Money(amount=amount, currency="EUR"))
                for side, amounts in said.items()
                for of, amount in zip(("fiat", "fee", "crypto"), amounts, strict=True)
                if amount
            ],
            occur_time=Timestamp(seconds=1_794_999_000),
            age_seconds=3 * 86_400,
        )

    target = io.StringIO()
    await write_page(target, CLOSE, one())
    text = target.getvalue()
    assert "<tr><th></th><th class=n>trade</th><th class=n>ledger</th><th class=n>report</th></tr>" in text
    assert '<td>fiat</td><td class="n">10.00 EUR</td><td class="n">-10.00 EUR</td><td class="n"></td>' in text
    assert '<td>crypto</td><td class="n bad">1.5 EUR</td>' in text
    assert "3 d 0 h before the cut" in text
