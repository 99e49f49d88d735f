"""Whoever gets an exception is led to a section that says what it means, what to do next, and how to undo it."""

import re
from pathlib import Path

import pytest

from ledger.api.close_view import KINDS_OUT
from ledger.domain.close.kinds import NEXT_STEPS, Kind
from pools.ledger.v1 import close_pb2

ROOT = Path(__file__).parents[3]


def sections() -> dict[str, str]:
    """The runbook's sections by their anchor."""
    path, _, _ = Kind.AMOUNT_MISMATCH.runbook.partition("#")
    parts = re.split(r"^## (\w+)$", (ROOT / path).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_is_explained_in_the_runbook(kind: Kind) -> None:
    section = sections()[kind.runbook.partition("#")[2]]
    assert all(f"**{part}.**" in section for part in ("Meaning", "Next", "Undo"))


def test_the_runbook_explains_no_kind_that_there_is_not() -> None:
    assert set(sections()) == set(Kind) == set(NEXT_STEPS)


def test_every_kind_of_the_api_is_one_of_the_close() -> None:
    assert sorted(KINDS_OUT.values()) == [value for value in close_pb2.ExceptionKind.values() if value]
