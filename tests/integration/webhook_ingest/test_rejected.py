"""Protects what is kept of refused webhooks: enough to find out why, for thirty days, and no longer."""

import asyncio
import hashlib
from datetime import timedelta

from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.leases import Lease
from tests.integration.databases import RunningPostgres
from tests.integration.webhook_ingest.door import Door
from webhook_ingest.app.purge import CHUNK, PurgeRejected
from webhook_ingest.store.rejected import BODY_HEAD_BYTES


async def test_of_a_large_refused_body_the_head_the_size_and_the_hash_are_kept(door: Door) -> None:
    body, request_id = bytes(range(256)) * 200, new_id("req")
    assert (await door.post(body, headers={"x-request-id": request_id})).status == 401
    (kept,) = await door.rejected(request_id)
    assert kept["body_head"] == body[:BODY_HEAD_BYTES]
    assert (kept["body_bytes"], kept["body_sha256"]) == (len(body), hashlib.sha256(body).digest())


async def test_the_service_looks_after_what_was_refused(door: Door) -> None:
    assert "loop purge" in {task.get_name() for task in asyncio.all_tasks()}


async def test_what_is_thirty_days_old_goes_and_nothing_younger(postgres: RunningPostgres) -> None:
    url = await postgres.fresh_database("webhook_ingest")
    database, admin = Database(url, application_name="test"), Database(postgres.admin_url(url), application_name="test")
    try:
        for count, age in [(2 * CHUNK + 1, timedelta(days=30, seconds=1)), (3, timedelta(days=29, hours=23))]:
            await admin.execute(
                """
                INSERT INTO rejected_webhooks
                SELECT 'whe_' || $3 || n, 's', 'r', 'r', '', '', 0, '', '', '', now() - $2::interval
                FROM generate_series(1, $1::int) n
                """,
                count, age, str(age),
            )  # fmt: skip
        purge = PurgeRejected(database, Lease(database, "purge"), days=30)
        assert await purge.purge() == 2 * CHUNK + 1
        assert await purge.purge() == 0
        assert await database.fetch_value("SELECT count(*) FROM rejected_webhooks") == 3
    finally:
        await database.close()
        await admin.close()
