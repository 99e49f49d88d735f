"""Protects what an event is, and when it is the same again: by its parsed fields, however they were written."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkit.errors import InvalidRequest
from tests.unit.webhook_ingest.builders import CREDITED, OCCURRED, SETTLED, changed
from webhook_ingest.domain.events import Kind, ProviderEvent, kind_of, pay_in, payin_event_id, trade_report

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
OTHER_FIELDS = st.sampled_from(
    [
        {"kind": Kind.TRADE_FAILED},
        {"transact_id": "pt_test_2"},
        {"network_transaction_id": "0xdef"},
        {"currency": "USDC"},
        {"amount": Decimal("107.904008")},
        {"amount": None},
        {"occurred_at": OCCURRED + timedelta(microseconds=1)},
        {"funding_reference": "REF2"},
        {"bank_transaction_id": "bank-2"},
    ]
)


@given(other=OTHER_FIELDS)
def test_an_event_with_one_other_field_is_another(other: dict[str, object]) -> None:
    assert changed(SETTLED, **other).fingerprint != SETTLED.fingerprint


def test_the_event_id_is_no_part_of_what_is_told() -> None:
    assert changed(SETTLED, event_id="evt_9").fingerprint == SETTLED.fingerprint


@given(zeros=st.integers(0, 1), hours=st.integers(-12, 14))
def test_the_same_amount_and_moment_written_otherwise_are_the_same(zeros: int, hours: int) -> None:
    def told(amount: str, moment: datetime) -> ProviderEvent:
        return pay_in(
            event_id="e",
            funding_reference="R",
            bank_transaction_id="b",
            currency="EUR",
            amount=amount,
            occurred_at=moment,
        )

    elsewhere = OCCURRED.astimezone(timezone(timedelta(hours=hours)))
    assert told("100.5" + "0" * zeros, elsewhere).fingerprint == told("100.50", OCCURRED).fingerprint


@given(first=st.lists(TEXT, min_size=4, max_size=4), second=st.lists(TEXT, min_size=4, max_size=4))
def test_fields_never_run_into_each_other(first: list[str], second: list[str]) -> None:
    names = ("transact_id", "network_transaction_id", "funding_reference", "bank_transaction_id")
    left, right = (changed(SETTLED, **dict(zip(names, texts, strict=True))) for texts in (first, second))
    assert (left.fingerprint == right.fingerprint) == (first == second)


def test_the_id_of_a_payin_is_the_contract_s() -> None:
    expected = hashlib.sha256(b"sandbox-bank:bank-1:payin.credited").hexdigest()
    assert payin_event_id("sandbox-bank", "bank-1") == expected


@pytest.mark.parametrize("text", ["", "trade.reserved", "TRADE.SETTLED", "payin"])
def test_there_are_no_other_kinds(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no such kind"):
        kind_of(text)


@pytest.mark.parametrize("kind", [Kind.TRADE_FAILED, Kind.TRADE_RELEASED, Kind.TRADE_RETURNED])
def test_only_settled_must_name_what_was_delivered(kind: Kind) -> None:
    told = trade_report(
        kind,
        event_id="e",
        transact_id="pt_test_1",
        network_transaction_id=None,
        crypto_currency=None,
        crypto_amount=None,
        occurred_at=OCCURRED,
    )
    assert (told.amount, told.currency, told.network_transaction_id, told.amount_text) == (None, "", "", "")


def test_a_returned_that_names_an_amount_must_name_one_that_can_be_read() -> None:
    for currency, amount in [("USDT", None), (None, "1"), ("EUR", "1"), ("USDT", "1e3")]:
        with pytest.raises(InvalidRequest):
            trade_report(
                Kind.TRADE_RETURNED,
                event_id="e",
                transact_id="pt_test_1",
                network_transaction_id=None,
                crypto_currency=currency,
                crypto_amount=amount,
                occurred_at=OCCURRED,
            )


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("currency", "USDT", "currency"),
        ("currency", None, "currency"),
        ("amount", "0.00", "amount"),
        ("amount", "10.001", "amount"),
        ("amount", None, "amount"),
        ("bank_transaction_id", "", "bankTransactionId"),
        ("bank_transaction_id", "a\nb", "bankTransactionId"),
        ("funding_reference", "x" * 257, "fundingReference"),
        ("funding_reference", "\x00", "fundingReference"),
        ("event_id", "\ud800", "eventId"),
        ("occurred_at", datetime(1999, 12, 31, tzinfo=UTC), "occurredAt"),
        ("occurred_at", datetime(2026, 11, 22), "occurredAt"),  # noqa: DTZ001 - without a zone, on purpose
    ],
)
def test_a_payin_that_does_not_fit_is_refused_by_the_name_of_its_field(field: str, value: object, named: str) -> None:
    fields = {
        "event_id": "e",
        "funding_reference": "R",
        "bank_transaction_id": "b",
        "currency": "EUR",
        "amount": "1.00",
        "occurred_at": OCCURRED,
    }
    with pytest.raises(InvalidRequest) as refused:
        pay_in(**{**fields, field: value})  # type: ignore[arg-type]
    assert refused.value.field == named


@pytest.mark.parametrize("reference", ["", "two\nlines", "Überweisung  für\tRE 12"])
def test_a_reference_is_whatever_the_payer_wrote(reference: str) -> None:
    assert CREDITED.is_payin
    told = pay_in(
        event_id="e",
        funding_reference=reference,
        bank_transaction_id="b",
        currency="EUR",
        amount="1.00",
        occurred_at=OCCURRED,
    )
    assert told.funding_reference == reference
