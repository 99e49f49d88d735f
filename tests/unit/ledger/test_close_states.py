"""What trades are to be told is remembered in their order, each with its state, and given up past a bound."""

from ledger.app.close.states import BATCH_TRADES, EXCEPTION, MATCHED, States
from ledger.domain.close.facts import TradeGroup
from ledger.domain.close.findings import Finding, Ids
from ledger.domain.close.kinds import Kind


def wrong(trade_id: str) -> list[Finding]:
    return [Finding(Kind.RESERVED_TOO_LONG, Ids(trade_id=trade_id), "It waits.")]


def group(trade_id: str) -> TradeGroup:
    return TradeGroup(trade_id, None, None, (), (), ())


def test_each_trade_comes_back_with_its_state_in_batches() -> None:
    states = States()
    ids = [f"pt_test_{number:05}" for number in range(BATCH_TRADES + 1)]
    for trade_id in ids:
        states.add_group(group(trade_id), wrong(trade_id))
    states.add_group(group("pt_test_open"), [])
    states.add_findings(wrong("pt_test_found_elsewhere"))
    batches = list(states.batches())
    assert [len(batch) for batch in batches] == [BATCH_TRADES, 2]
    assert [pair for batch in batches for pair in batch] == [
        (trade_id, EXCEPTION) for trade_id in (*ids, "pt_test_found_elsewhere")
    ]
    assert states.counts == {MATCHED: 0, EXCEPTION: BATCH_TRADES + 2}


def test_too_much_to_remember_is_told_from_what_is_stored_instead() -> None:
    states = States(bytes_max=10)
    for number in range(3):
        states.add_group(group(f"pt_test_{number}"), wrong("pt_test"))
    assert not states.complete
    assert list(states.batches()) == []
