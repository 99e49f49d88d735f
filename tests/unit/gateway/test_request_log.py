"""The request log's queue: nothing is lost to a store that is away, and nothing waits for a row that cannot be kept."""

from collections.abc import Sequence

import pytest

from gateway.app import request_log
from gateway.app.call import Call
from gateway.app.request_log import RequestLog
from poolkit.errors import Unavailable


class Store:
    """Keeps rows by their numbers, as the table does; fails as it is told to."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.away = 0
        self.poison = ""
        self.sizes: list[int] = []

    async def __call__(self, calls: Sequence[Call], first_number: int) -> None:
        self.sizes.append(len(calls))
        if self.away:
            self.away -= 1
            raise Unavailable
        if any(call.request_id == self.poison for call in calls):
            raise ValueError("a row that cannot be kept")
        for number, call in enumerate(calls, first_number):
            self.rows.setdefault(number, call.request_id)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "RETRY_SECONDS", 0)


def calls(count: int) -> list[Call]:
    return [Call("transact", "rest", f"req_{number}", "", "test") for number in range(count)]


async def written(store: Store, rows: Sequence[Call]) -> list[str]:
    """What the store holds when the log has been drained."""
    log = RequestLog(store)
    for row in rows:
        log.append(row)
    await log.drain()
    return [store.rows[number] for number in sorted(store.rows)]


async def test_rows_are_written_in_order_and_in_batches() -> None:
    store, rows = Store(), calls(2_500)
    assert await written(store, rows) == [row.request_id for row in rows]
    assert store.sizes == [1_000, 1_000, 500]


async def test_a_store_that_is_away_costs_no_row_and_makes_none_twice() -> None:
    store, rows = Store(), calls(10)
    store.away = 3
    assert await written(store, rows) == [row.request_id for row in rows]


async def test_a_row_that_cannot_be_kept_is_given_up_alone() -> None:
    store, rows = Store(), calls(100)
    store.poison = "req_57"
    assert await written(store, rows) == [row.request_id for row in rows if row.request_id != "req_57"]


async def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "QUEUE_MAX", 5)
    assert len(await written(Store(), calls(9))) == 5


async def test_a_drain_that_cannot_end_ends_anyway() -> None:
    store = Store()
    store.away = 10**9
    log = RequestLog(store)
    log.append(calls(1)[0])
    await log.drain(seconds_max=0.05)
    assert store.rows == {}
