"""What on-call is told of closes is true in every replica, whoever closed, and whichever date was closed last."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

import pytest
from prometheus_client import REGISTRY

from ledger.app.close.measures import measure
from ledger.domain.close.kinds import Kind
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.closing import PLANTS, Day, open_day
from tests.integration.ledger.owners import DAY

BEGINS = datetime.combine(DAY, time_of_day(), UTC).timestamp()
A_DAY = timedelta(days=1).total_seconds()
_CLOSED_ELSEWHERE = """
INSERT INTO closes (close_id, mode, business_date, revision, provisional, cut_at, inbox_sequence, content_hash,
                    contents, matched_count, exception_count, request_id, requested_by, traceparent, created_at)
SELECT close_id || $1::integer::text, mode, business_date + $1::integer, 1, false,
       cut_at + $1::integer * interval '1 day', inbox_sequence, content_hash,
       jsonb_set(contents, '{kinds}', $2::jsonb), matched_count, exception_count, request_id, requested_by,
       traceparent, clock_timestamp() - $3::integer * interval '1 day'
FROM closes WHERE revision = 1 AND business_date = $4
"""


@pytest.fixture
async def day(postgres: RunningPostgres) -> AsyncIterator[Day]:
    """A date, and who knows something about it."""
    async with open_day(postgres) as opened:
        yield opened


async def told(day: Day) -> tuple[float, dict[str, float]]:
    """Up to when a replica says that dates are closed, and the exceptions that it says stand, by kind."""
    await measure(day.books.database)
    closed = REGISTRY.get_sample_value("pools_ledger_closed_date_seconds")
    assert closed is not None
    counts = {kind: REGISTRY.get_sample_value("pools_ledger_mismatches", {"kind": kind}) for kind in Kind}
    assert None not in counts.values(), "every kind shows from the start"
    return closed, {str(kind): count for kind, count in counts.items() if count}


async def test_a_date_counts_as_overdue_from_the_first_event_on_and_never_before(day: Day) -> None:
    closed, standing = await told(day)
    assert closed == pytest.approx(time.time(), abs=60)
    assert standing == {}
    await day.be_clean()
    assert (await told(day))[0] == BEGINS
    await day.close()
    assert await told(day) == (BEGINS + A_DAY, {})


async def test_exceptions_show_until_a_new_revision_is_without_them_whatever_else_is_closed(day: Day) -> None:
    await day.be_clean()
    await day.close()
    await PLANTS[Kind.AMOUNT_MISMATCH](day)
    await day.close()
    found = {Kind.AMOUNT_MISMATCH.value: 1.0}
    assert await told(day) == (BEGINS + A_DAY, found)
    # By another replica: a date before, as on-call does that looks into an old matter, and the next one.
    await day.close(DAY - timedelta(days=1))
    assert await told(day) == (BEGINS + A_DAY, found)
    await day.books.admin.execute(_CLOSED_ELSEWHERE, 1, "{}", 0, DAY)
    assert await told(day) == (BEGINS + 2 * A_DAY, found), "a clean date after it does not hide what was just found"
    # What was found long ago has had its page.
    await day.books.admin.execute(_CLOSED_ELSEWHERE, -9, '{"inventory_difference": 3}', 8, DAY)
    assert await told(day) == (BEGINS + 2 * A_DAY, found)
    await day.owners.webhook_ingest.execute(
        "UPDATE webhooks SET amount = 107.904009 WHERE kind = 'trade.settled' AND amount = 107.904008"
    )
    await day.close()
    assert (await told(day))[1] == {}
    # A date long over that is closed anew tells something new, however many were closed since.
    for later in range(2, 40):
        await day.books.admin.execute(_CLOSED_ELSEWHERE, later, "{}", 8, DAY)
    await day.books.admin.execute(_CLOSED_ELSEWHERE, -60, '{"reserved_too_long": 2}', 0, DAY)
    assert (await told(day))[1] == {"reserved_too_long": 2.0}
