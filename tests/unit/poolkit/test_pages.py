"""A page is as long as was asked for, within what the list allows, and too much is refused in words."""

import pytest

from poolkit.errors import InvalidRequest
from poolkit.rpc.pages import PAGE_SIZE, PAGE_SIZE_MAX, page_size


def test_a_page_is_as_long_as_asked_for_and_the_default_where_nothing_was() -> None:
    assert [page_size(0), page_size(1), page_size(PAGE_SIZE_MAX)] == [PAGE_SIZE, 1, PAGE_SIZE_MAX]
    assert [page_size(0, default=500, largest=1_000), page_size(1_000, default=500, largest=1_000)] == [500, 1_000]


@pytest.mark.parametrize("asked", [-1, PAGE_SIZE_MAX + 1])
def test_more_than_a_page_may_have_is_refused(asked: int) -> None:
    with pytest.raises(InvalidRequest, match=f"1 to {PAGE_SIZE_MAX}, not {asked}") as refused:
        page_size(asked)
    assert refused.value.field == "page_size"
