"""What waits for another event can be seen: which trade, which number is missing, since when."""

from typing import Any

import pytest

from ledger.api.inbox_service import InboxService
from poolkit.errors import InvalidRequest
from pools.ledger.v1 import inbox_pb2
from tests.integration.ledger.books import Books, new_trade
from tests.integration.ledger.events import allocation, payin, trade_event


async def parked(books: Books, **request: Any) -> inbox_pb2.ListParkedEventsResponse:
    service = InboxService(books.database, books.decode)
    return await service.ListParkedEvents(inbox_pb2.ListParkedEventsRequest(**request), None)  # type: ignore[arg-type]


async def test_events_that_wait_are_listed_until_what_they_wait_for_arrives(books: Books, organization: str) -> None:
    trade, credited = new_trade(), payin("unallocated")
    settled, returned = trade_event(organization, trade), trade_event(organization, trade, "returned")
    allocated = allocation(organization, credited)
    await books.apply(returned, allocated, payin(organization))
    listed = {each.event_id: each for each in (await parked(books)).events}
    assert listed.keys() == {returned.event_id, allocated.event_id}
    waiting = listed[returned.event_id]
    assert (waiting.trade_id, waiting.missing_number, waiting.awaited_event_id) == (trade, 1, settled.event_id)
    assert (waiting.organization_id, waiting.request_id) == (organization, returned.request_id)
    assert waiting.receive_time.seconds > 0
    other = listed[allocated.event_id]
    assert (other.trade_id, other.missing_number, other.awaited_event_id) == ("", 0, credited.event_id)

    first = await parked(books, page_size=1)
    second = await parked(books, page_size=1, page_token=first.next_page_token)
    assert [each.event_id for page in (first, second) for each in page.events] == sorted(listed)
    assert not second.next_page_token
    with pytest.raises(InvalidRequest):
        await parked(books, page_size=1001)

    await books.apply(credited, settled)
    assert not (await parked(books)).events
