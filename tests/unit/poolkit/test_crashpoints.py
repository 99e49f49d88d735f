"""Crash points cost nothing until one is armed, and then kill as a real crash would."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from poolkit import crashpoints

PROGRAM = """
import atexit, sys
from poolkit import crashpoints
crashpoints.declare("test.before_commit")
crashpoints.declare("test.after_commit")
crashpoints.arm(sys.argv[1])
atexit.register(print, "handlers ran", flush=True)
try:
    for attempt in (1, 2, 3):
        crashpoints.reach("test.before_commit")
        print(f"committed {attempt}", flush=True)
        crashpoints.reach("test.after_commit")
finally:
    print("finished", flush=True)
"""


def run_armed(point: str) -> tuple[int, list[str]]:
    """How the program ends and what it still says, with `point` armed."""
    command = [sys.executable, "-c", PROGRAM, point]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    return ended.returncode, ended.stdout.splitlines()


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(crashpoints, "CRASHPOINTS", {})
    yield
    crashpoints.disarm()


def test_nothing_dies_while_nothing_is_armed() -> None:
    assert run_armed("") == (0, ["committed 1", "committed 2", "committed 3", "finished", "handlers ran"])


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("test.before_commit", []),
        ("test.after_commit", ["committed 1"]),
        ("test.before_commit@3", ["committed 1", "committed 2"]),
    ],
)
def test_armed_point_kills_there_and_then_without_any_handler(point: str, said: list[str]) -> None:
    assert run_armed(point) == (-signal.SIGKILL, said)


def test_point_beyond_its_count_lives_on() -> None:
    assert run_armed("test.after_commit@4")[0] == 0


def test_declared_points_can_be_enumerated() -> None:
    assert crashpoints.declare("trade.after_hold", "a hold without a reserved trade") == "trade.after_hold"
    assert crashpoints.CRASHPOINTS == {"trade.after_hold": "a hold without a reserved trade"}
    with pytest.raises(ValueError, match="declared twice"):
        crashpoints.declare("trade.after_hold")


def test_arming_a_point_nobody_declared_is_refused() -> None:
    crashpoints.declare("trade.after_hold")
    with pytest.raises(ValueError, match=r"Did you mean 'trade\.after_hold'"):
        crashpoints.arm("trade.after_holt")
    with pytest.raises(ValueError, match="no usable count"):
        crashpoints.arm("trade.after_hold@0")


def test_other_points_than_the_armed_one_stay_inert() -> None:
    crashpoints.declare("trade.after_hold")
    crashpoints.arm("trade.after_hold")
    crashpoints.reach("trade.after_consume")
