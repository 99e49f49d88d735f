"""A million trades, and as many ledger entries, of one organization page by page: `python -m tests.bench.pages [ROWS]`.

What is shown is the time of a page of 50 at the beginning, in the middle and at the end of each list, read by the
services' own store code over one connection, as they would: prepared, and planned once. Pages take turns, so that a
busy machine is busy for all of them; the median of each is given, and how many times the first page the last one is.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop

from ledger.app.read_books import list_entries
from ledger.domain.accounts import partner_account
from ledger.store.books import read_entries
from poolctl.stack.databases import ensure_databases
from poolctl.stack.ports import free_port
from poolctl.stack.postgres import Postgres
from poolkit.database import Database
from tests.integration.databases import RunningPostgres
from tests.integration.trade.stocked import ORGANIZATION, fill
from trade.domain.cursor import Position
from trade.store.trades import TradeFilter, list_page

ROWS = 1_000_000
PAGE = 50
ROUNDS = 40
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

_ENTRIES = """
WITH account AS (
    INSERT INTO accounts (kind, organization_id, pool_id, currency, sub_account, name)
    VALUES ('partner', $1, '', 'EUR', 0, $2), ('bank', '', '', 'EUR', 0, 'bank/EUR/0') RETURNING id, kind
), posted AS (
    INSERT INTO transactions (number, id, organization_id, sequence, reason, content_hash, link, business_date,
                              event_id, request_id, trade_id, quote_id, client_reference, traceparent)
    SELECT 2 * n, 'ledger_' || n, $1, n, 'buy_debit', '', '', '2026-01-01', 'evt_' || n, 'req_' || n, 'pt_' || n,
           'pq_' || n, '', ''
    FROM generate_series(1, $3::int) AS n
)
INSERT INTO entries (transaction_number, leg, account_id, amount, balance_after, sequence)
SELECT 2 * n, CASE kind WHEN 'partner' THEN 1 ELSE 2 END, id, CASE kind WHEN 'partner' THEN -1 ELSE 1 END,
       CASE kind WHEN 'partner' THEN -n END, CASE kind WHEN 'partner' THEN n END
FROM generate_series(1, $3::int) AS n CROSS JOIN account
"""

Page = Callable[[float], Awaitable[object]]
"""Reads the page that begins at a share of the list's length, 0 being the newest."""


def trade_pages(database: Database, rows: int) -> dict[str, Page]:
    """Each filter's pages."""
    spread = timedelta(seconds=rows // 2)

    def of(**narrowed: object) -> Page:
        async def page(depth: float) -> object:
            # The page at the very end is a full one, too.
            place = Position(FIRST_DAY + max(spread * (1 - depth), timedelta(seconds=PAGE * 1200)), "pt_test_")
            matching = TradeFilter(**narrowed)  # type: ignore[arg-type]
            return await list_page(
                database, ORGANIZATION, before=place if depth else None, matching=matching, limit=PAGE + 1
            )

        return page

    return {
        "trades": of(),
        "trades, side=on_ramp": of(side="on_ramp"),
        "trades, side=off_ramp": of(side="off_ramp"),
        "trades, status=settled": of(status="settled"),
        "trades, status=failed": of(status="failed"),
        "trades, status=released (none)": of(status="released"),
        "trades, created_before": of(created_before=FIRST_DAY + spread / 2),
        "trades, created_after": of(created_after=FIRST_DAY),
        "trades, all of them": of(
            side="on_ramp", status="settled", created_after=FIRST_DAY, created_before=FIRST_DAY + spread
        ),
    }


def entry_pages(database: Database, rows: int) -> dict[str, Page]:
    """The ledger's pages."""
    name = partner_account(ORGANIZATION, "EUR").name

    async def page(depth: float) -> object:
        if not depth:
            return await list_entries(database, ORGANIZATION, "EUR", size=PAGE, token="")
        before = max(int(rows * (1 - depth)), PAGE + 1)
        return await read_entries(database, name, before_sequence=before, limit=PAGE + 1)

    return {"ledger entries": page}


async def measure(pages: dict[str, Page]) -> dict[str, list[float]]:
    """Median milliseconds of the first page, one in the middle, and the last."""
    spent: dict[tuple[str, float], list[float]] = {}
    for _ in range(ROUNDS):
        for name, page in pages.items():
            for depth in (0.0, 0.5, 1.0):
                began = time.perf_counter()
                await page(depth)
                spent.setdefault((name, depth), []).append((time.perf_counter() - began) * 1e3)
    return {name: [statistics.median(spent[name, depth]) for depth in (0.0, 0.5, 1.0)] for name in pages}


def show(measured: dict[str, list[float]]) -> None:
    """One line a list."""
    for name, (first, middle, last) in measured.items():
        print(
            f"{name:32} first {first:6.2f} ms  middle {middle:6.2f}  last {last:6.2f}  last/first {last / first:5.2f}"
        )


async def main(rows: int) -> None:
    """Fills a database for each service and reads it."""
    with tempfile.TemporaryDirectory(prefix="pools-pages-") as directory:
        server = Postgres(Path(directory), free_port())
        await server.start()
        try:
            await ensure_databases(server)
            postgres = RunningPostgres(server)
            for service, pages in (("trade", trade_pages), ("ledger", entry_pages)):
                url = await postgres.fresh_database(service)
                print(f"filling {service} with {rows:,} rows", flush=True)
                admin = await asyncpg.connect(postgres.admin_url(url))
                if service == "trade":
                    await fill(admin, rows)
                else:
                    name = partner_account(ORGANIZATION, "EUR").name
                    # It sums what a statement inserts, which is never a million transactions but here.
                    await admin.execute("ALTER TABLE entries DISABLE TRIGGER balanced")
                    await admin.execute(_ENTRIES, ORGANIZATION, name, rows)
                await admin.execute("VACUUM ANALYZE")
                await admin.close()
                database = Database(url, application_name="pages", pool_size=1)
                show(await measure(pages(database, rows)))
                await database.close()
        finally:
            await server.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
