"""Quote terms: what is refused without asking anyone, naming the field."""

from dataclasses import replace

import pytest

from gateway.domain.quote_terms import QuoteTerms, check_terms
from poolkit.errors import InvalidRequest

TERMS = QuoteTerms("on_ramp", "100.00", "EUR", "tron", "TQ0001", "firm", "")


def test_terms_that_fit_pass() -> None:
    check_terms(TERMS)
    check_terms(replace(TERMS, side="off_ramp", amount="1.000001", amount_currency="USDT", destination_address=""))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0.00"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1e2"}, "amount"),
        ({"amount": "100.001"}, "amount"),
        ({"amount": "01"}, "amount"),
        ({"amount_currency": "XYZ"}, "amountCurrency"),
        ({"amount_currency": "XYZ", "amount": "x"}, "amountCurrency"),
        ({"destination_address": ""}, "destinationAddress"),
        ({"side": "off_ramp"}, "destinationAddress"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(changes: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_terms(replace(TERMS, **changes))  # type: ignore[arg-type]
    assert refused.value.field == field
