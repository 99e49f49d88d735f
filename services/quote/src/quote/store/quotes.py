"""Owns the table `quotes`: firm quotes with their locked terms, written once with what they hold, read with status."""

from collections.abc import Sequence
from typing import NamedTuple

from poolkit.context import CallContext
from poolkit.database import Database, Record, Unit
from quote.domain.pools import Side
from quote.domain.quotes import PricedOrder, Quote, Status, derive_status
from quote.store.stock import FREE, move

COLUMNS = """q.quote_id, q.organization_id, q.pool_id, q.side, q.fiat_currency, q.fiat_amount, q.crypto_currency,
       q.crypto_amount, q.rate, q.spread_bps, q.fee_bps, q.fee_amount, q.network, q.destination_address,
       q.client_reference, q.created_at, q.expires_at"""

STATUS_JOINS = """
LEFT JOIN rejections r ON r.quote_id = q.quote_id
LEFT JOIN consumptions used ON used.quote_id = q.quote_id AND used.outcome = 'consumed'"""

STATUS_COLUMNS = """r.quote_id IS NOT NULL AS rejected, used.trade_id IS NOT NULL AS consumed,
       q.expires_at <= clock_timestamp() AS expired"""

_SIDES = {side.value: side for side in Side}

_TERMS = """quote_id, organization_id, pool_id, side, fiat_currency, fiat_amount, crypto_currency, crypto_amount, rate,
           spread_bps, fee_bps, fee_amount, network, destination_address, client_reference, request_id, traceparent"""

_WANTED = """wanted AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::text[], $8::numeric[],
        $9::numeric[], $10::integer[], $11::integer[], $12::numeric[], $13::text[], $14::text[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::numeric[], $20::integer[], $21::integer[]
    ) AS w (quote_id, organization_id, pool_id, side, fiat_currency, fiat_amount, crypto_currency, crypto_amount,
            rate, spread_bps, fee_bps, fee_amount, network, destination_address, client_reference, request_id,
            traceparent, currency, amount, ttl_ms, organization_number)
)"""

_WRITTEN = f"""given AS MATERIALIZED (
    SELECT a.*, clock_timestamp() AS created_at FROM allowed a
    JOIN moved m ON m.pool_id = a.pool_id AND m.currency = a.currency
), timed AS MATERIALIZED (
    SELECT g.*, g.created_at + make_interval(secs => g.ttl_ms / 1000.0) AS expires_at FROM given g
), written AS (
    INSERT INTO quotes ({_TERMS}, created_at, expires_at) SELECT {_TERMS}, created_at, expires_at FROM timed
), holding AS (
    INSERT INTO quote_holds (quote_id, organization_id, pool_id, side, currency, amount, expires_at)
    SELECT quote_id, organization_id, pool_id, side, currency, amount, expires_at FROM timed
)
SELECT quote_id, created_at, expires_at FROM timed"""  # noqa: S608 - constants only

_CHANGES = """changes AS (
    SELECT pool_id, currency, sum(amount) AS amount FROM allowed GROUP BY pool_id, currency
)"""

# Everything an organization wants, or nothing of it; everything wanted of a stock, or nothing: what does not fit as a
# whole is decided one by one under locks (app.create_quotes), so this needs no order among its rows.
_CREATE_IF_ALL_FIT = f"""
WITH {_WANTED}, room AS MATERIALIZED (
    SELECT array_agg(lock_and_count_active_quotes(o.organization_id) + o.wanted_count <= o.active_quotes_max) AS enough
    FROM unnest($22::text[], $23::bigint[], $24::bigint[]) AS o (organization_id, wanted_count, active_quotes_max)
), allowed AS MATERIALIZED (
    SELECT w.* FROM wanted w CROSS JOIN room WHERE room.enough[w.organization_number]
), {_CHANGES}, {move("held = i.held + l.amount", condition=f"{FREE} >= l.amount")}, {_WRITTEN}
"""  # noqa: S608 - constants only

_CREATE = f"""
WITH {_WANTED}, allowed AS (SELECT * FROM wanted), {_CHANGES}, {move("held = i.held + l.amount")}, {_WRITTEN}
"""  # noqa: S608 - constants only

_COUNT_ACTIVE = """
SELECT o.organization_id, lock_and_count_active_quotes(o.organization_id) AS active
FROM unnest($1::text[]) AS o (organization_id)
"""

_READ = f"SELECT {COLUMNS}, {STATUS_COLUMNS} FROM quotes q {STATUS_JOINS} WHERE q.quote_id = ANY($1::text[])"  # noqa: S608


class NewQuote(NamedTuple):
    """A quote about to be written."""

    quote_id: str
    context: CallContext
    priced: PricedOrder


async def create_if_all_fit(database: Database, new: Sequence[NewQuote]) -> list[Quote]:
    """Writes the quotes of every organization and stock where all of them fit, in one statement; answers those."""
    maxima: dict[str, int] = {}
    counts: dict[str, int] = {}
    for item in new:
        organization_id = item.priced.organization_id
        counts[organization_id] = counts.get(organization_id, 0) + 1
        maximum = item.priced.tier.active_quotes_max
        maxima[organization_id] = min(maximum, maxima.get(organization_id, maximum))
    # In one order, so that no two statements can wait for each other in a circle.
    organizations = sorted(counts)
    numbers = {organization_id: number for number, organization_id in enumerate(organizations, start=1)}
    rows = await database.fetch(
        _CREATE_IF_ALL_FIT,
        *_columns(new),
        [numbers[item.priced.organization_id] for item in new],
        organizations,
        [counts[organization_id] for organization_id in organizations],
        [maxima[organization_id] for organization_id in organizations],
    )
    return _written(new, rows)


async def create(unit: Unit, new: Sequence[NewQuote]) -> list[Quote]:
    """Writes quotes that are known to fit, since their organizations and stocks are locked in this unit."""
    return _written(new, await unit.fetch(_CREATE, *_columns(new), [0] * len(new)))


async def lock_and_count_active(unit: Unit, organization_ids: Sequence[str]) -> dict[str, int]:
    """Locks out other makers of quotes for these organizations (given sorted), and counts what is active."""
    rows = await unit.fetch(_COUNT_ACTIVE, organization_ids)
    return {row["organization_id"]: row["active"] for row in rows}


async def read(database: Database, quote_ids: Sequence[str]) -> dict[str, Quote]:
    """The quotes there are, by id, with the status each has by the database's clock."""
    return {row["quote_id"]: quote_with_status(row) for row in await database.fetch(_READ, quote_ids)}


def quote_with_status(row: Record, *, first: int = 0) -> Quote:
    """A row that has COLUMNS from position `first` on, and STATUS_COLUMNS."""
    status = derive_status(rejected=row["rejected"], consumed=row["consumed"], expired=row["expired"])
    return quote_of(row, status, first=first)


def quote_of(row: Record, status: Status, *, first: int = 0) -> Quote:
    """A row that has COLUMNS from position `first` on."""
    (
        quote_id, organization_id, pool_id, side, fiat_currency, fiat_amount, crypto_currency, crypto_amount, rate,
        spread_bps, fee_bps, fee_amount, network, destination_address, client_reference, created_at, expires_at,
    ) = row[first : first + 17]  # fmt: skip
    return Quote(
        quote_id, organization_id, pool_id, _SIDES[side], fiat_currency, fiat_amount, crypto_currency, crypto_amount,
        rate, spread_bps, fee_bps, fee_amount, network, destination_address, client_reference, status, created_at,
        expires_at,
    )  # fmt: skip


def _columns(new: Sequence[NewQuote]) -> tuple[Sequence[object], ...]:
    return tuple(zip(*map(_values, new), strict=True))


def _values(new: NewQuote) -> tuple[object, ...]:
    quote_id, context, priced = new
    order, pool, tier, price = priced.order, priced.pool, priced.tier, priced.price
    return (
        quote_id, priced.organization_id, pool.pool_id, priced.side, pool.fiat_currency, price.fiat,
        pool.crypto_currency, price.crypto, priced.rate, tier.spread_bps, tier.fee_bps, price.fee, order.network,
        order.destination_address, order.client_reference, context.request_id, context.traceparent,
        priced.inventory_currency, priced.inventory_amount, pool.quote_ttl_ms,
    )  # fmt: skip


def _written(new: Sequence[NewQuote], rows: Sequence[Record]) -> list[Quote]:
    times: dict[str, Record] = {row["quote_id"]: row for row in rows}
    return [
        item.priced.quote(item.quote_id, row["created_at"], row["expires_at"])
        for item in new
        if (row := times.get(item.quote_id)) is not None
    ]
