"""The close of a day of a million trades on a whole stack: `python -m tests.bench.close [TRADES]`.

The day is yesterday, planted in SQL as its owners would have written it: trades and their transitions, the provider's
reports, the ledger's transactions, entries and holds. What is shown is the time of the first close and of a second one
that finds nothing changed, and the most memory and the CPU time of each service.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import psutil
import uvloop

from poolctl.session import Addresses, Session
from poolctl.stack import Stack
from pools.ledger.v1 import close_pb2

TRADES = 1_000_000
SERVICES = ("gateway", "quote", "trade", "webhook-ingest", "ledger")
LOOK_SECONDS = 0.25

# $1 trades, $2 the business date. Ids are spread like those that services mint, so that indexes are read as they are.
_ID = "'pt_test_' || lpad(to_hex(hashint8(g)::bigint & 4294967295), 8, '0') || lpad(g::text, 18, '0')"
_EVENT = f"encode(sha256(convert_to({_ID} || ':pool.transaction.settled', 'UTF8')), 'hex')"
_NOON = "$2::date::timestamp AT TIME ZONE 'UTC' + interval '12 hours'"
_ROWS = "FROM generate_series(1, $1::int) AS g"
# Above every number that the stack itself draws while it starts.
_BASE = 1_000_000

_PLANTED: dict[str, tuple[str, ...]] = {
    "trade": (
        f"""
        INSERT INTO trades (trade_id, organization_id, quote_id, pool_id, side, fiat_currency, fiat_amount,
            crypto_currency, crypto_amount, rate, spread_bps, fee_bps, fee_amount, network, destination_address,
            client_reference, status, terminal_count, request_id, traceparent, created_at, updated_at)
        SELECT {_ID}, 'org_' || (g % 200), 'pq_test_' || g, 'EUR-USDT', 'on_ramp', 'EUR', 100.00, 'USDT', 107.904009,
            1.085, 35, 20, 0.20, 'tron', 'T1', 'c', 'settled', 1, 'req_' || g, '00', {_NOON}, {_NOON} {_ROWS}
        """,
        f"""
        INSERT INTO transitions (trade_id, number, from_status, to_status, source, provider_event_id, webhook_id,
            reported_currency, reported_amount, network_transaction_id, business_date, request_id, traceparent,
            created_at)
        SELECT {_ID}, 1, 'reserved', 'settled', 'settlement', 'evt_' || g, 'whe_' || lpad(g::text, 10, '0'), 'USDT',
            107.904009, '0x1', $2::date, 'req_' || g, '00', {_NOON} {_ROWS}
        """,
    ),
    "webhook-ingest": (
        f"""
        INSERT INTO webhooks (webhook_id, source, provider_event_id, kind, transact_id, network_transaction_id,
            currency, amount, funding_reference, bank_transaction_id, payin_event_id, occurred_at, fingerprint,
            refusal_reason, body, request_id, traceparent, received_at)
        SELECT 'whe_' || lpad(g::text, 10, '0'), 'settlement', 'evt_' || g, 'trade.settled', {_ID}, '', 'USDT',
            107.904009, '', '', '', {_NOON}, sha256(g::text::bytea), '', '', 'req_' || g, '00', {_NOON} {_ROWS}
        """,
        f"""
        INSERT INTO webhook_attempts (webhook_id, number, outcome, effect, detail, organization_id, request_id,
            traceparent, attempted_at, created_at)
        SELECT 'whe_' || lpad(g::text, 10, '0'), 1, 'processed', 'applied', '', '', 'req_' || g, '00', {_NOON},
            {_NOON} {_ROWS}
        """,
    ),
    "ledger": (
        """
        INSERT INTO accounts (kind, organization_id, pool_id, currency, sub_account, name)
        SELECT 'partner', 'org_' || g, '', 'EUR', 0, 'bench/' || g FROM generate_series(0, 199) AS g
        UNION ALL SELECT kind, '', pool, currency, 15, 'bench/' || kind || currency
        FROM (VALUES ('fees', '', 'EUR'), ('conversion', '', 'EUR'), ('conversion', '', 'USDT'), ('spread', '', 'USDT'),
                     ('inventory', 'EUR-USDT', 'USDT')) AS system (kind, pool, currency)
        """,
        f"""
        INSERT INTO inbox (event_id, topic, type, organization_id, business_date, occurred_ms, payload, request_id,
            traceparent, partition, "offset", state, sequence, applied_at)
        SELECT {_EVENT}, 'pools.trade.terminal.v1', 'pool.transaction.settled', 'org_' || (g % 200), $2::date,
            extract(epoch FROM {_NOON}) * 1000, '', 'req_' || g, '00', 0, g, 'applied', {_BASE} + 2 * g, {_NOON} {_ROWS}
        """,
        f"""
        INSERT INTO transactions (number, id, organization_id, sequence, reason, content_hash, link, business_date,
            event_id, request_id, trade_id, quote_id, client_reference, traceparent)
        SELECT {_BASE} + 2 * g, 'ledger_01KB0000000' || lpad(g::text, 15, '0'), 'org_' || (g % 200), 1 + g / 200,
            'buy_debit', 'x', 'x', $2::date, {_EVENT}, 'req_' || g, {_ID}, 'pq_test_' || g, 'c', '00' {_ROWS}
        """,
        f"""
        INSERT INTO entries (transaction_number, leg, account_id, amount, balance_after, sequence)
        SELECT {_BASE} + 2 * g, leg.number, account.id, leg.amount,
            CASE leg.number WHEN 1 THEN 0 END, CASE leg.number WHEN 1 THEN 1 + g / 200 END
        {_ROWS} CROSS JOIN (VALUES (1, '', -100.00), (2, 'feesEUR', 0.20), (3, 'conversionEUR', 99.80),
            (4, 'conversionUSDT', -108.283000), (5, 'spreadUSDT', 0.378991), (6, 'inventoryUSDT', 107.904009))
            AS leg (number, name, amount)
        JOIN accounts AS account
            ON account.name = 'bench/' || CASE leg.number WHEN 1 THEN (g % 200)::text ELSE leg.name END
        WHERE $2::date IS NOT NULL
        """,
        f"""
        INSERT INTO holds (trade_id, organization_id, account_id, amount, state, request_id, traceparent, ended_at)
        SELECT {_ID}, 'org_' || (g % 200), (SELECT id FROM accounts WHERE name = 'bench/' || (g % 200)), 100,
            'consumed', 'req_' || g, '00', {_NOON} {_ROWS}
        """,
        """
        UPDATE accounts SET balance = summed.balance, entry_count = summed.entries
        FROM (SELECT account_id, sum(amount) AS balance, count(*) AS entries FROM entries
              WHERE $1::int > 0 AND $2::date IS NOT NULL GROUP BY 1) AS summed
        WHERE summed.account_id = accounts.id AND accounts.name LIKE 'bench/%'
        """,
    ),
    "quote": ("INSERT INTO inventory_days VALUES ('EUR-USDT', 'USDT', $2::date, -107.904009 * $1::int, $1::int)",),
}


async def plant(addresses: Addresses, trades: int, day: datetime) -> None:
    """Writes the day into each owner's database, beside each other."""

    async def one(service: str, statements: tuple[str, ...]) -> None:
        connection = await asyncpg.connect(addresses.admin_databases[service], command_timeout=1800)
        try:
            # The balance of what is planted is known; checking it is measured elsewhere.
            await connection.execute("SET session_replication_role = replica")
            for statement in statements:
                arguments = (trades, day.date())
                used = [argument for number, argument in enumerate(arguments, 1) if f"${number}" in statement]
                await connection.execute(statement, *used)
            await connection.execute("ANALYZE")
        finally:
            await connection.close()

    await asyncio.gather(*(one(service, statements) for service, statements in _PLANTED.items()))


async def close(session: Session, day: datetime) -> close_pb2.CloseOutcome:
    """Runs the close and shows what it says on the way."""
    request = close_pb2.RunCloseRequest(business_date=day.date().isoformat(), requested_by="bench")
    async for step in session.ledger.closes.RunClose(request):
        if step.HasField("outcome"):
            return step.outcome
    raise RuntimeError("the ledger ended the run without an answer")


async def main(trades: int) -> None:
    """Starts a stack, plants the day, closes it twice."""
    day = datetime.now(UTC) - timedelta(days=1)
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        await stack.start()
        try:
            began = time.monotonic()
            await plant(Addresses.of(stack.addresses), trades, day)
            print(f"planted {trades:,} trades in {time.monotonic() - began:.0f} s", flush=True)
            processes = {name: psutil.Process(stack.part(name).process.pid) for name in (*SERVICES, "postgres")}
            async with Session(Addresses.of(stack.addresses)) as session:
                for turn in ("first close", "nothing changed"):
                    await _measured(turn, session, day, processes)
        finally:
            await stack.stop()


async def _measured(turn: str, session: Session, day: datetime, processes: dict[str, psutil.Process]) -> None:
    most = dict.fromkeys(processes, 0)
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    began = time.monotonic()
    closing = asyncio.create_task(close(session, day))
    while not closing.done():
        most = {name: max(most[name], process.memory_info().rss) for name, process in processes.items()}
        await asyncio.wait({closing}, timeout=LOOK_SECONDS)
    made, seconds = (await closing).close, time.monotonic() - began
    print(f"{turn}: {seconds:.1f} s, {made.matched_count:,} matched, {made.exception_count:,} exceptions")
    for name, process in processes.items():
        cpu = sum(process.cpu_times()[:2]) - before[name]
        print(f"  {name:15} {most[name] / 2**20:6.0f} MB at most, {cpu:6.1f} s CPU", flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else TRADES))
