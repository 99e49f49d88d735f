"""The figures of a load: percentiles as defined, and a document that says what was measured and what failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolctl.loading.figures import Figures, percentile, step_figures
from poolctl.screen import amount_text, seconds_text

TIMES = st.lists(st.floats(min_value=0, max_value=100), min_size=1)


@given(TIMES, st.floats(min_value=0.01, max_value=1))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(times: list[float], share: float) -> None:
    ordered = sorted(times)
    found = percentile(ordered, share)
    assert sum(time <= found for time in times) >= share * len(times) - 1e-9
    assert all(sum(time <= smaller for time in times) < share * len(times) for smaller in times if smaller < found)


def test_percentiles_of_a_hundred_are_the_numbers_themselves() -> None:
    figures = step_figures([number / 1000 for number in range(100, 0, -1)])
    assert figures == {"count": 100, "p50Ms": 50, "p95Ms": 95, "p99Ms": 99, "maxMs": 100}


def test_the_document_counts_what_ended_and_names_what_failed() -> None:
    figures = Figures()
    for step in ("quote", "transact", "webhook", "journey"):
        figures.times[step] += [0.01, 0.02]
    figures.fail("pool_dry", None)
    figures.fail("quote_expired", "req_1")
    figures.fail("quote_expired", "req_2")
    document = figures.document(seconds=4, concurrency=2)
    assert document["throughput"] == 0.5
    assert document["failures"] == {"pool_dry": 1, "quote_expired": 2}
    assert document["failureRequestIds"] == {"quote_expired": "req_1"}
    assert set(document["steps"]) == {"quote", "transact", "webhook", "journey"}


def test_steps_nobody_reached_have_no_figures() -> None:
    assert Figures().document(seconds=1, concurrency=1)["steps"] == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00084, "840 µs"), (0.0123, "12.3 ms"), (0.84, "840 ms"), (1.234, "1.23 s"), (12.34, "12.3 s"),
        (125.2, "2 min 5 s"),
    ],
)  # fmt: skip
def test_times_are_short_and_carry_their_unit(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"), [("1000.00", "1,000.00"), ("-108.283000", "-108.283000"), ("0", "0"), ("1234567", "1,234,567")]
)
def test_amounts_keep_every_digit(amount: str, text: str) -> None:
    assert amount_text(amount) == text
