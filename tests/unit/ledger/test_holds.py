"""Deciding about holds: never more than there is, one answer to each trade id."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.holds import HoldRequest, StoredHold, decide, stored_answer
from poolkit.errors import AttemptUndone, InsufficientBalance, NotFound

ACCOUNT = ("org", "EUR")


def request(trade_id: str, amount: int, *, gated: bool = True) -> HoldRequest:
    """A hold somebody asks for."""
    return HoldRequest(trade_id, *ACCOUNT, amount, gated, "pq", "req", "", "")


def test_refused_request_does_not_stand_in_a_smaller_ones_way() -> None:
    available = {ACCOUNT: 100}
    states = decide([request("a", 60), request("b", 60), request("c", 40)], {}, available)
    assert states == {"a": "open", "b": "refused", "c": "open"}
    assert available == {ACCOUNT: 0}


def test_same_trade_twice_in_a_batch_is_one_question() -> None:
    available = {ACCOUNT: 100}
    assert decide([request("a", 60), request("a", 30)], {}, available) == {"a": "open"}
    assert available == {ACCOUNT: 40}


def test_stored_trade_is_not_decided_again() -> None:
    assert decide([request("a", 60)], {"a": StoredHold("org", "refused")}, {ACCOUNT: 100}) == {}


def test_without_the_gate_nothing_is_refused() -> None:
    available = {ACCOUNT: 10}
    assert decide([request("a", 60, gated=False), request("b", 1)], {}, available) == {"a": "open", "b": "refused"}


def test_repeated_question_hears_the_first_answer() -> None:
    assert stored_answer("pt_1", "org", StoredHold("org", "open")) == "hold_1"
    assert stored_answer("pt_1", "org", StoredHold("org", "consumed")) == "hold_1"
    assert isinstance(stored_answer("pt_1", "org", StoredHold("org", "refused")), InsufficientBalance)
    assert isinstance(stored_answer("pt_1", "org", StoredHold("org", "voided")), AttemptUndone)
    assert isinstance(stored_answer("pt_1", "other", StoredHold("org", "open")), NotFound)


@given(st.lists(st.integers(1, 100), max_size=20), st.integers(-50, 300))
def test_gated_holds_never_take_more_than_there_is(amounts: list[int], available: int) -> None:
    left = {ACCOUNT: available}
    states = decide([request(str(index), amount) for index, amount in enumerate(amounts)], {}, left)
    taken = sum(amount for index, amount in enumerate(amounts) if states[str(index)] == "open")
    assert taken <= max(available, 0)
    assert left[ACCOUNT] == available - taken
