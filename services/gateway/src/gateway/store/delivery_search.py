"""Finding deliveries by whom, where, what, how and when; one with its attempts. Bodies are told by hash alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.domain.deliveries import DeliveryState
from poolkit.database import Database, Record
from poolkit.ids import first_id

# Ids tell their time by the clock of whoever made them, rows theirs by the database's. The ids narrow a search down,
# the rows decide; the clocks may be this far apart.
_CLOCKS_APART: Final = timedelta(minutes=1)

COLUMNS: Final = """
d.delivery_id, d.event_id, d.organization_id, d.endpoint_id, d.type, d.state, d.attempt_count,
coalesce(d.last_status_code, 0) AS last_status_code, encode(sha256(event.body), 'hex') AS body_sha256,
d.created_at, d.delivered_at, event.trade_id,
CASE WHEN d.state = 'pending' THEN d.next_attempt_at END AS next_attempt_at
"""
# As an array of ids, so that those few are looked up, instead of every delivery asked whether it is one of them.
_OF_TRADE: Final = """
SELECT mine.delivery_id FROM deliveries mine JOIN terminal_events told USING (event_id) WHERE told.trade_id = {}
"""
_ONE: Final = f"""
SELECT {COLUMNS} FROM deliveries d JOIN terminal_events event USING (event_id) WHERE d.delivery_id = $1
"""  # noqa: S608 - constants only
_ATTEMPTS: Final = """
SELECT number, coalesce(status_code, 0) AS status_code, coalesce(failure, '') AS failure, duration_ms, created_at
  FROM delivery_attempts WHERE delivery_id = $1 ORDER BY number DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are meant; what is empty or None does not narrow them down."""

    organization_id: str = ""
    endpoint_id: str = ""
    state: DeliveryState | None = None
    trade_id: str = ""
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery as it is listed."""

    delivery_id: str
    event_id: str
    organization_id: str
    endpoint_id: str
    type: str
    state: DeliveryState
    attempt_count: int
    last_status_code: int
    body_sha256: str
    created_at: datetime
    delivered_at: datetime | None
    trade_id: str
    next_attempt_at: datetime | None
    """While it is pending: when it is due, or when the attempt under way is given up for lost."""


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """How one attempt went."""

    number: int
    status_code: int
    """0 where there was no answer."""
    failure: str
    duration_ms: int
    created_at: datetime
    """When it ended."""


def conditions(wanted: DeliveryFilter) -> tuple[list[str], list[Any]]:
    """The filter as conditions on `deliveries d` and their arguments, `$1` first. Only what is set gets a condition,
    so that each search is planned for the index that serves it."""
    found: list[str] = []
    arguments: list[Any] = []

    def add(condition: str, argument: Any) -> None:
        arguments.append(argument)
        found.append(condition.format(f"${len(arguments)}"))

    for column in ("organization_id", "endpoint_id"):
        if value := getattr(wanted, column):
            add(f"d.{column} = {{}}", value)
    if wanted.state is not None:
        # Written out, since an index on dead ones serves only a statement that says so.
        found.append(f"d.state = '{wanted.state.value}'")
    if wanted.trade_id:
        add(f"d.delivery_id = ANY (ARRAY({_OF_TRADE}))", wanted.trade_id)
    if wanted.created_from is not None:
        add("d.created_at >= {}", wanted.created_from)
        add("d.delivery_id >= {}", first_id("whd", wanted.created_from - _CLOCKS_APART))
    if wanted.created_before is not None:
        add("d.created_at < {}", wanted.created_before)
        add("d.delivery_id < {}", first_id("whd", wanted.created_before + _CLOCKS_APART))
    return found, arguments


async def list_deliveries(
    database: Database, wanted: DeliveryFilter, *, before: str, limit: int
) -> Sequence[StoredDelivery]:
    """What is wanted, newest first, older than the id `before` where that is given."""
    where, arguments = conditions(wanted)
    if before:
        arguments.append(before)
        where.append(f"d.delivery_id < ${len(arguments)}")
    rows = await database.fetch(
        f"SELECT {COLUMNS} FROM deliveries d JOIN terminal_events event USING (event_id)"  # noqa: S608 - no values
        f" WHERE {' AND '.join(where) or 'true'} ORDER BY d.delivery_id DESC LIMIT ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [stored(row) for row in rows]


async def find_delivery(
    database: Database, delivery_id: str, *, attempts_max: int
) -> tuple[StoredDelivery, Sequence[StoredAttempt]] | None:
    """The delivery with its last attempts, oldest first."""
    row = await database.fetch_row(_ONE, delivery_id)
    if row is None:
        return None
    attempts = await database.fetch(_ATTEMPTS, delivery_id, attempts_max)
    return stored(row), [StoredAttempt(**attempt) for attempt in reversed(attempts)]


def stored(row: Record) -> StoredDelivery:
    """The delivery of a row with COLUMNS."""
    return StoredDelivery(**{**row, "state": DeliveryState(row["state"])})
