"""The explained errors: docs/errors.md is what the catalogue says, with one anchor for each reason."""

from pathlib import Path

import pytest

from poolkit.errors import CATALOGUE
from poolkit.errors.explained import Explanation, markdown

PAGE = Path(__file__).resolve().parents[3] / "docs" / "errors.md"


def test_the_page_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "docs/errors.md is stale; run `make docs`"


def test_every_reason_has_a_heading_of_its_own() -> None:
    headings = [line.removeprefix("## ") for line in markdown().splitlines() if line.startswith("## ")]
    assert headings == [*CATALOGUE, "Not errors"]


@pytest.mark.parametrize(
    ("code", "retry"),
    [("overloaded", "yes: after `Retry-After`"), ("internal", "yes: after a moment"), ("quote_expired", "no")],
)
def test_a_reason_says_whether_to_send_the_request_again(code: str, retry: str) -> None:
    assert Explanation(CATALOGUE[code]).retry.startswith(retry)
