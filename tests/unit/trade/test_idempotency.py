"""Protects what a repeat is told, in the contract's precedence."""

from __future__ import annotations

import pytest

from poolkit.errors import DomainError
from tests.unit.trade.builders import transact_request
from trade.domain.intent import IntentState, KnownIntent, Replay, answer_repeat


def known(
    state: IntentState = IntentState.RESERVED, *, key: str = "key-1", quote: str = "pq_test_1", pool: str = "EUR-USDT"
) -> KnownIntent:
    return KnownIntent("pt_test_1", key, quote, pool, state)


RUNNING = IntentState.RUNNING
DECLINING = IntentState.DECLINING
OTHER_KEY = known(key="key-0")

ROWS: list[tuple[str, KnownIntent | None, KnownIntent | None, Replay | str | None]] = [
    ("neither is known", None, None, None),
    ("the first still runs", known(RUNNING), known(RUNNING), "idempotency_in_progress"),
    ("the first is being undone", known(DECLINING), known(DECLINING), "idempotency_in_progress"),
    ("another key's request for the quote runs", None, known(RUNNING, key="key-0"), "idempotency_in_progress"),
    ("the key's other request still runs", known(RUNNING, quote="pq_test_2"), None, "idempotency_in_progress"),
    (
        "in progress precedes conflict",
        known(quote="pq_test_2"),
        known(RUNNING, key="key-0"),
        "idempotency_in_progress",
    ),
    ("the key is bound to another quote", known(quote="pq_test_2"), None, "idempotency_conflict"),
    ("the key is bound to another pool's path", known(pool="EUR-USDC"), None, "idempotency_conflict"),
    ("the same request again", known(), known(), Replay("pt_test_1", binds_key=False)),
    ("a key bound as an alias", known(IntentState.ALIAS), OTHER_KEY, Replay("pt_test_1", binds_key=False)),
    ("another key for a reserved quote", None, OTHER_KEY, Replay("pt_test_1", binds_key=True)),
]


@pytest.mark.parametrize(("case", "by_key", "by_quote", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_a_repeat_is_told(
    case: str, by_key: KnownIntent | None, by_quote: KnownIntent | None, expected: Replay | str | None
) -> None:
    answer = answer_repeat(transact_request(), by_key=by_key, by_quote=by_quote)
    assert (answer.code if isinstance(answer, DomainError) else answer) == expected, case


def test_in_progress_says_when_to_ask_again() -> None:
    answer = answer_repeat(transact_request(), by_key=known(RUNNING), by_quote=None)
    assert isinstance(answer, DomainError)
    assert answer.retry_after_seconds == 1
