"""Derived ids: the same for good, sorted by time, and leading back to their rows."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.identities import entry_id, hold_id, trade_of_hold, transaction_id, transaction_of_entry


def test_transaction_ids_are_the_same_for_good() -> None:
    # Stored ledgers hold ids made this way: another result here means that none of them can be rebuilt.
    assert transaction_id("b9" * 32, 1_763_800_000_123) == "ledger_01KANAR9KV0WVJMMYSHRW70ZY2"
    assert transaction_id("b9" * 32, 1_763_800_000_123, 1) == "ledger_01KANAR9KV8N35F2MCV3PT1SMB"


@given(st.text(min_size=1), st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1))
def test_transaction_ids_sort_by_time(event_id: str, one: int, other: int) -> None:
    if one != other:
        assert (transaction_id(event_id, one) < transaction_id(event_id, other)) == (one < other)


def test_a_time_out_of_range_still_gives_an_id() -> None:
    assert transaction_id("x", -1)[7:17] == "0" * 10
    assert transaction_id("x", 2**60)[7:17] == "7ZZZZZZZZZ"


def test_entry_leads_to_its_transaction() -> None:
    transaction = transaction_id("x", 5)
    assert transaction_of_entry(entry_id(transaction, 3)) == (transaction, 3)
    for other in ("le_", "le_short1", transaction, entry_id(transaction, "x"), ""):
        assert transaction_of_entry(other) is None


def test_hold_leads_to_its_trade() -> None:
    assert hold_id("pt_test_01K") == "hold_test_01K"
    assert trade_of_hold("hold_test_01K") == "pt_test_01K"
    assert trade_of_hold("pt_test_01K") == ""
