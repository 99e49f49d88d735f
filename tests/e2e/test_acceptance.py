"""The architecture page's own list, one test for each of its acceptance checks, review rows, failure modes and records.

All but a few look at one story: a partner's order that was quoted, accepted, settled, told and posted.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from poolctl.keyscan.scan import scan_paths
from poolctl.receiver import WebhookReceiver
from poolctl.session import Addresses, Session
from pools.gateway.v1 import admin_pb2
from tests.contract.test_partner_visible_fields import is_forbidden
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import POOL, SETTLES, Partner, PartnerFactory
from tests.e2e.story import KEY, NEVER_REPORTS, REFERENCE, Story, journey, names_in, reserve, tell
from tests.waiting import eventually

RETURNS_IN_DISORDER = SETTLES[:-4] + "0006"


@pytest.fixture(scope="module")
async def story(partners: PartnerFactory, session: Session, receiver: WebhookReceiver) -> Story:
    return await tell(partners, session, receiver)


class TestAcceptanceChecks:
    """`Architecture acceptance checks`."""

    async def test_secret_keys_never_leave_server_controlled_infrastructure(
        self, story: Story, addresses: Addresses
    ) -> None:
        secret = story.partner.secret_key
        answer = await story.partner.rest.http.get("/v1/pools", headers={"Origin": "https://shop.example"})
        assert answer.status_code == 403
        assert answer.json()["code"] == "secret_key_in_browser"
        assert secret not in answer.text

        def kept() -> list[Path]:
            files = [*addresses.data_dir.rglob("*.log"), *addresses.data_dir.rglob("*.jsonl")]
            assert files
            return [file for file in files if secret in file.read_text(errors="replace")]

        assert await asyncio.to_thread(kept) == []

    async def test_quote_creation_and_transact_execution_are_logged_with_request_ids(
        self, story: Story, databases: Databases
    ) -> None:
        rows = await databases.rows(
            "gateway",
            "SELECT operation, request_id, outcome FROM request_log WHERE organization_id = $1",
            story.partner.organization_id,
        )
        logged = {row["operation"]: (row["request_id"], row["outcome"]) for row in rows}
        assert logged["create_quote"] == (story.quote_request_id, "ok")
        assert logged["transact"] == (story.reserved["requestId"], "ok")

    async def test_webhook_processing_is_idempotent_and_replay_safe(
        self, partner: Partner, receiver: WebhookReceiver
    ) -> None:
        # Settled and returned, each reported three times, and the return first.
        trade = await partner.rest.accept(destinationAddress=RETURNS_IN_DISORDER)

        async def returned() -> bool:
            return bool((await partner.rest.trade(trade["transactId"])).json()["status"] == "returned")

        await eventually(returned, "the trade is returned", seconds=30)

        async def balanced() -> list[str] | None:
            ledger = (await partner.rest.ledger()).json()
            reasons = [entry["reason"] for entry in ledger["entries"]]
            return reasons if ledger["available"] == "1000.00" and len(reasons) > 1 else None

        assert await eventually(balanced, "the money is back") == ["buy_refund", "buy_debit", "payin_credit"]

    async def test_ledger_mutation_is_driven_by_terminal_status_not_a_frontend_callback(
        self, story: Story, partner: Partner, databases: Databases
    ) -> None:
        waiting = await partner.rest.accept(destinationAddress=NEVER_REPORTS)
        assert await databases.legs_of_trade(waiting["transactId"]) == {}
        causes = await databases.rows(
            "ledger", "SELECT DISTINCT event_id FROM journal WHERE trade_id = $1", story.trade_id
        )
        assert causes == [{"event_id": story.webhook.event_id}]

    async def test_support_can_search_by_order_quote_transact_event_and_ledger_id(
        self, story: Story, session: Session
    ) -> None:
        ids = (
            REFERENCE,
            story.quote["quoteId"],
            story.trade_id,
            story.webhook.event_id,
            story.entry.ledger_transaction_id,
            story.entry.entry_id,
        )
        for wanted in ids:
            found = await journey(session, wanted)
            assert found.record.transact_id == story.trade_id, wanted
            assert found.missing_services == []


class TestReviewRows:
    """`Production architecture review`, boundary by boundary."""

    async def test_client_to_partner_server_a_publishable_key_lists_pools_and_no_more(self, story: Story) -> None:
        http = story.partner.rest.http
        headers = {"Authorization": f"Bearer {story.partner.publishable_key}", "Origin": "https://shop.example"}
        assert (await http.get("/v1/pools", headers=headers)).status_code == 200
        for method, path in (
            ("POST", f"/v1/pools/{POOL}/quote"),
            ("POST", f"/v1/pools/{POOL}/transact"),
            ("GET", f"/v1/pools/trades/{story.trade_id}"),
            ("GET", "/v1/pools/ledger?currency=EUR"),
        ):
            answer = await http.request(method, path, headers={**headers, "Idempotency-Key": "k"})
            assert answer.status_code == 403, (method, path, answer.text)

    async def test_client_to_partner_server_no_secret_key_lies_in_a_browser_bundle_or_mobile_configuration(
        self, story: Story, tmp_path: Path
    ) -> None:
        bundle, config = tmp_path / "app.min.js", tmp_path / "Config.plist"
        bundle.write_text(f'fetch("/v1/pools",{{headers:{{authorization:"Bearer {story.partner.publishable_key}"}}}})')
        config.write_text("<dict><key>pools</key><string>https://pools.example</string></dict>")
        assert scan_paths([tmp_path]).ok
        config.write_text(f"<dict><key>pools</key><string>{story.partner.secret_key}</string></dict>")
        report = scan_paths([tmp_path])
        assert [finding.path for finding in report.findings] == [str(config)]
        assert story.partner.secret_key not in str(report.document())

    async def test_partner_server_to_0pools_calls_are_kept_with_request_id_and_idempotency_key(
        self, story: Story, databases: Databases
    ) -> None:
        rows = await databases.rows(
            "gateway",
            "SELECT request_id, quote_id, trade_id FROM request_log"
            " WHERE organization_id = $1 AND idempotency_key = $2",
            story.partner.organization_id,
            KEY,
        )
        assert rows == [
            {
                "request_id": story.reserved["requestId"],
                "quote_id": story.quote["quoteId"],
                "trade_id": story.trade_id,
            }
        ]

    async def test_webhook_to_ledger_is_verified_stored_deduplicated_then_processed(
        self, story: Story, databases: Databases
    ) -> None:
        rows = await databases.rows(
            "webhook-ingest",
            """
            SELECT w.signature_result, a.outcome, w.received_at <= a.attempted_at AS stored_first
            FROM webhooks w JOIN webhook_attempts a USING (webhook_id) WHERE w.transact_id = $1
            """,
            story.trade_id,
        )
        assert rows
        assert all(row == {"signature_result": "valid", "outcome": "processed", "stored_first": True} for row in rows)

    async def test_ledger_to_finance_is_append_only_joinable_by_trade_and_closed_with_its_exceptions(
        self, story: Story, addresses: Addresses, databases: Databases, poolctl: Poolctl
    ) -> None:
        connection = await asyncpg.connect(addresses.databases["ledger"])
        try:
            for statement in ("UPDATE entries SET amount = 0", "DELETE FROM entries", "TRUNCATE entries"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()
        legs = await databases.legs_of_trade(story.trade_id)
        assert sum(amount for (_, _, currency), amount in legs.items() if currency == "EUR") == 0
        close = await poolctl.answer("close", "run", "--date", datetime.now(UTC).date().isoformat())
        assert close["balanced"] is True
        assert close["exceptionCount"] == len(close["exceptions"])
        assert story.trade_id not in {found["ids"].get("tradeId") for found in close["exceptions"]}


class TestRecords:
    """`Records to keep`."""

    async def test_client_reference_links_the_user_journey_to_backend_state(self, story: Story) -> None:
        assert story.quote["clientReference"] == REFERENCE
        assert story.settled["clientReference"] == REFERENCE
        assert story.entry.client_reference == REFERENCE
        assert story.webhook.trade["clientReference"] == REFERENCE

    async def test_server_request_id_traces_api_calls(self, story: Story, session: Session) -> None:
        request_id = story.reserved["requestId"]
        assert request_id.startswith("req_")
        found = await journey(session, request_id)
        assert found.record.transact_id == story.trade_id
        assert {"gateway", "trade", "ledger"} <= {
            record.service for record in found.records if record.ids["request"] == request_id
        }

    async def test_trade_view_is_the_partner_facing_execution_record(self, story: Story) -> None:
        assert story.trade_id.startswith("pt_test_")
        assert story.settled == story.webhook.trade
        assert (story.settled["status"], story.settled["quoteId"]) == ("settled", story.quote["quoteId"])

    async def test_ledger_posting_is_the_finance_mutation_triggered_by_terminal_status(self, story: Story) -> None:
        entry = story.entry
        assert entry.ledger_transaction_id.startswith("ledger_")
        assert (entry.reason, entry.transact_id) == ("buy_debit", story.trade_id)
        assert (entry.delta.amount, entry.delta.currency) == ("-100.00", "EUR")

    async def test_the_example_product_record_comes_out_of_the_api_and_of_the_journey_field_by_field(
        self, partner: Partner, session: Session
    ) -> None:
        seen = await reserve(partner, session, label="architecture")

        async def recorded() -> admin_pb2.ProductRecord | None:
            found = await journey(session, seen["transactId"])
            # The label is read off the call, which is on record a moment after its answer.
            return found.record if found.record.product_area else None

        record = await eventually(recorded, "the call is on record")
        told = {field.name: getattr(record, field.name) for field in record.DESCRIPTOR.fields}
        assert told == {
            "product_area": "architecture",
            "partner_reference": seen["clientReference"],
            "pool_id": seen["poolId"],
            "quote_id": seen["quoteId"],
            "transact_id": seen["transactId"],
            "status": seen["status"],
            "request_id": seen["requestId"],
            "reconciliation_state": seen["reconciliationState"],
        }
        fixed = ("partner_reference", "pool_id", "status", "reconciliation_state")
        assert [told[name] for name in fixed] == ["partner_order_123", "EUR-USDT", "reserved", "open"]
        minted = ("quote_id", "transact_id", "request_id")
        assert [told[name].rpartition("_")[0] for name in minted] == ["pq_test", "pt_test", "req"]


class TestFailureModes:
    """`Failure modes and recovery`."""

    async def test_secret_key_in_browser_moves_quote_and_transact_to_the_server(self, story: Story) -> None:
        for path in (f"/v1/pools/{POOL}/quote", f"/v1/pools/{POOL}/transact"):
            answer = await story.partner.rest.http.post(path, json={}, headers={"Sec-Fetch-Site": "cross-site"})
            error = answer.json()
            assert (answer.status_code, error["code"]) == (403, "secret_key_in_browser")
            assert "server" in error["message"]

    async def test_ui_owns_settlement_is_impossible_no_partner_call_moves_a_trade(self, story: Story) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await story.partner.rest.http.request(
                method, f"/v1/pools/trades/{story.trade_id}", json={"status": "settled"}
            )
            assert answer.status_code == 405, (method, answer.text)

    async def test_route_or_provider_detail_exposed_is_nowhere_in_what_a_partner_gets(self, story: Story) -> None:
        http: httpx.AsyncClient = story.partner.rest.http
        documents: list[Any] = [story.quote, story.reserved, story.settled, story.webhook.body]
        paths = (
            "/v1/pools",
            f"/v1/pools/{POOL}/capabilities",
            f"/v1/pools/{POOL}/balance",
            "/v1/pools/trades",
            "/v1/pools/ledger?currency=EUR",
        )
        for path in paths:
            answer = await http.get(path)
            assert answer.status_code == 200, (path, answer.text)
            documents.append(answer.json())
        assert [name for document in documents for name in names_in(document) if is_forbidden(name)] == []

    async def test_no_data_boundary_each_record_lies_with_its_one_owner(self, addresses: Addresses) -> None:
        owners: dict[str, set[str]] = {}
        for service, url in addresses.admin_databases.items():
            connection = await asyncpg.connect(url)
            try:
                found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            finally:
                await connection.close()
            owners[service] = {row["tablename"] for row in found}
        for table, owner in {
            "organizations": "gateway",
            "intents": "trade",
            "quotes": "quote",
            "trades": "trade",
            "webhooks": "webhook-ingest",
            "entries": "ledger",
        }.items():
            assert [service for service, tables in owners.items() if table in tables] == [owner]
