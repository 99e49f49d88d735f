"""What operations take: pages within their bounds, and a partner's own words as they are."""

from __future__ import annotations

import json

import pytest

from gateway.api.decoding import decode_body, decode_fields
from poolkit.errors import InvalidRequest
from tests.contract.test_partner_visible_fields import OPERATIONS

BY_NAME = {operation.name: operation for operation in OPERATIONS}
QUOTE = {"side": "on_ramp", "amount": "1.00", "amountCurrency": "EUR", "network": "tron", "destinationAddress": "T"}


@pytest.mark.parametrize(
    ("name", "most", "unless_asked"),
    [("list_pools", 100, 100), ("list_trades", 100, 50), ("list_ledger_entries", 200, 50)],
)
def test_a_page_has_as_many_as_asked_for_within_its_bounds(name: str, most: int, unless_asked: int) -> None:
    needed = {"currency": "EUR"} if name == "list_ledger_entries" else {}
    operation = BY_NAME[name]
    assert decode_fields(operation, needed).limit == unless_asked
    for limit in (1, most):
        assert decode_fields(operation, {**needed, "limit": str(limit)}).limit == limit
    for limit in (0, -1, most + 1):
        with pytest.raises(InvalidRequest) as refused:
            decode_fields(operation, {**needed, "limit": str(limit)})
        assert refused.value.field == "limit"


@pytest.mark.parametrize("reference", ["r" * 128, "ü🜛 '\"\\\n\t;--" * 11, " "])
def test_a_client_reference_is_any_text_of_up_to_128_characters(reference: str) -> None:
    read = decode_body(BY_NAME["create_quote"], json.dumps({**QUOTE, "clientReference": reference}).encode())
    assert read.terms().client_reference == reference
