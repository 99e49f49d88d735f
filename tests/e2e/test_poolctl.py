"""The command line: each command's one JSON document, what it says when it is refused, and how it ends.

Source: CONTRACT §12.
"""

import asyncio
import getpass
import hashlib
import hmac
import uuid
from typing import Any

import httpx

from poolctl.receiver import WebhookReceiver
from poolctl.session import Addresses
from tests.e2e.commands import Poolctl
from tests.e2e.databases import Databases
from tests.e2e.partners import Partner, RestPartner
from tests.waiting import eventually

SERVICES = {"gateway", "quote", "trade", "webhook-ingest", "ledger"}


async def test_status_tells_each_part(poolctl: Poolctl) -> None:
    status = await poolctl.answer("status")
    assert set(status["parts"]) == SERVICES | {"postgres", "kafka", "sandbox"}
    for part in status["parts"].values():
        assert set(part) == {"running", "ready", "pid", "version", "port"}
        assert (part["running"], part["ready"]) == (True, True)


async def test_up_on_a_running_stack_answers_its_addresses(poolctl: Poolctl, addresses: Addresses) -> None:
    answer = await poolctl.answer("up", "--detach")
    assert set(answer) == {
        "rest", "grpc", "webhooks", "services", "databases", "adminDatabases", "kafka", "dataDir",
    }  # fmt: skip
    assert set(answer["services"]) == set(answer["databases"]) == set(answer["adminDatabases"]) == SERVICES
    assert answer["rest"] == addresses.rest


async def test_a_partner_is_made_ready_to_trade(poolctl: Poolctl, addresses: Addresses) -> None:
    made = await poolctl.answer("partner", "create", "--name", "Acme Wallet", "--pools", "EUR-USDT")
    assert set(made) == {"organizationId", "publishableKey", "secretKey", "fundingReferences"}
    assert made["organizationId"].startswith("org_")
    assert made["publishableKey"].startswith("pk_test_")
    assert made["secretKey"].startswith("sk_test_")
    assert "EUR" in made["fundingReferences"]

    paid = await poolctl.answer("payin", made["organizationId"], "--currency", "EUR", "--amount", "1000.00")
    assert set(paid) == {"webhookId", "eventId"}
    assert paid["webhookId"].startswith("whe_")
    partner = RestPartner(addresses.rest, made["secretKey"])
    async with partner.http:

        async def credited() -> bool:
            return await partner.available() == "1000.00"

        await eventually(credited, "the pay-in is in the ledger")
        pools = (await partner.http.get("/v1/pools")).json()["pools"]
        assert [pool["id"] for pool in pools] == ["EUR-USDT"]


async def test_an_entitlement_is_changed_row_by_row(poolctl: Poolctl, partner: Partner) -> None:
    changed = await poolctl.answer(
        *("partner", "entitle", partner.organization_id, "--kyc", "pending", "--off-ramp", "--balance-gate", "off"),
        *("--notional-cap", "EUR=500.00", "--pools", "EUR-USDT"),
    )
    assert changed == {
        "organizationId": partner.organization_id,
        "mode": "test",
        "status": "active",
        "kyc": "pending",
        "tier": "standard",
        "allowedPools": ["EUR-USDT"],
        "offRamp": True,
        "balanceGate": False,
        "notionalCaps": {"EUR": "500.00"},
    }

    async def refused() -> bool:
        answer = await partner.rest.quote()
        return answer.status_code == 403 and answer.json()["code"] == "kyc_not_approved"

    await eventually(refused, "the gateway refuses for want of KYC", seconds=4)
    assert await poolctl.answer("partner", "show", partner.organization_id) == changed


async def test_an_endpoint_is_added_and_its_secret_verifies_its_webhooks(
    poolctl: Poolctl, partner: Partner, receiver: WebhookReceiver
) -> None:
    endpoint = uuid.uuid4().hex
    made = await poolctl.answer("partner", "endpoint", partner.organization_id, "--url", receiver.url(endpoint))
    assert set(made) == {"endpointId", "secret"}
    assert made["secret"].startswith("whsec_")
    receiver.trust(endpoint, made["secret"])
    trade = await partner.rest.accept()

    async def both_told() -> bool:
        return len(receiver.events_of(trade["transactId"])) == 2

    await eventually(both_told, "both endpoints were told")


async def test_keys_are_made_rotated_listed_and_revoked(
    poolctl: Poolctl, partner: Partner, addresses: Addresses
) -> None:
    made = await poolctl.answer("key", "create", partner.organization_id, "--label", "checkout")
    rotated = await poolctl.answer("key", "rotate", made["keyId"], "--overlap", "1h")
    listed = {row["keyId"]: row for row in (await poolctl.answer("key", "list", partner.organization_id))["keys"]}
    assert made["key"].startswith("sk_test_")
    assert not {made["key"], rotated["key"]} & set(str(listed).split("'"))
    assert (rotated["label"], rotated["kind"], rotated["replaces"]) == ("checkout", "secret", made["keyId"])
    assert listed[made["keyId"]] == rotated["replacedKey"]
    assert listed[made["keyId"]]["expiresAt"] > listed[rotated["keyId"]]["createdAt"]
    assert listed[rotated["keyId"]]["expiresAt"] is None
    old, new = RestPartner(addresses.rest, made["key"]), RestPartner(addresses.rest, rotated["key"])
    async with old.http, new.http:
        assert {(await one.http.get("/v1/pools")).status_code for one in (old, new)} == {200}
        revoked = await poolctl.answer("key", "revoke", made["keyId"])
        assert revoked["revokedAt"]

        async def refused() -> bool:
            return (await old.http.get("/v1/pools")).status_code == 401

        await eventually(refused, "the revoked key is refused", seconds=4)
        assert (await new.http.get("/v1/pools")).status_code == 200


async def test_sources_are_made_listed_and_rotated(poolctl: Poolctl, addresses: Addresses) -> None:
    name = f"adapter-{uuid.uuid4().hex[:12]}"
    made = await poolctl.answer("source", "create", name)
    listed = {source["name"]: source for source in (await poolctl.answer("source", "list"))["sources"]}
    assert {"name", "secret", "url"} <= set(made)
    assert made["url"] == f"{addresses.webhooks}/v1/webhooks/{name}"
    assert set(listed[name]["kinds"]) == {"trade.settled", "trade.failed", "trade.released", "trade.returned"}
    assert made["secret"] not in str(listed)
    rotated = await poolctl.answer("source", "rotate", name, "--overlap-seconds", "60")
    assert rotated["secret"] != made["secret"]
    assert (rotated["name"], rotated["url"]) == (made["name"], made["url"])
    listed = {source["name"]: source for source in (await poolctl.answer("source", "list"))["sources"]}
    assert listed[name]["activeSecrets"] == 2

    plain = await poolctl.answer(
        *("source", "create", f"{name}-hex", "--scheme", "hex", "--signature-header", "x-sig"),
        *("--kinds", "trade.failed,payin.credited"),
    )
    assert plain["kinds"] == ["trade.failed", "payin.credited"]
    body = b"{}"
    signature = hmac.new(plain["secret"].encode(), body, hashlib.sha256).hexdigest()
    async with httpx.AsyncClient() as http:
        signed = await http.post(plain["url"], content=body, headers={"x-sig": signature})
        unsigned = await http.post(plain["url"], content=body)
    # Signed well, but no event; and not signed at all.
    assert (signed.status_code, unsigned.status_code) == (400, 401)


# What is refused of a running stack, and what is said.
REFUSED: list[tuple[list[str], str]] = [
    (["source", "create", "sandbox-bank"], "request id"),
    (["source", "rotate", "nobody-here"], "request id"),
    (["payin", "org_nobody", "--currency", "EUR", "--amount", "1.00"], "request id"),
    (["payin", "ORG", "--currency", "EUR", "--amount", "1.001"], "amount"),
]


async def test_what_is_refused_ends_with_1_and_says_why(poolctl: Poolctl, partner: Partner) -> None:
    commands = [[partner.organization_id if word == "ORG" else word for word in words] for words, _ in REFUSED]
    ended = await asyncio.gather(*(poolctl(*words, "--json") for words in commands))
    for (words, said), one in zip(REFUSED, ended, strict=True):
        assert (one.status, one.stdout) == (1, ""), (words, one.stderr)
        assert said in one.stderr, words


async def test_the_journey_of_any_id_of_a_trade_is_one_story(
    poolctl: Poolctl, partner: Partner, receiver: WebhookReceiver, databases: Databases, mtls: bool
) -> None:
    reference = f"order-{uuid.uuid4().hex}"
    trade = await partner.rest.accept(clientReference=reference)
    webhook = await receiver.event_of(trade["transactId"], seconds=15)

    async def whole() -> dict[str, Any] | None:
        ended = await poolctl("journey", trade["transactId"], "--json")
        services = {record["service"] for record in ended.document["records"]} if ended.status == 0 else set()
        return ended.document if services == SERVICES else None

    journey = await eventually(whole, "every service tells of the trade")
    assert set(journey) == {
        "id", "record", "records", "awaited", "journeys", "nextPageToken", "traceIds", "missingServices",
        "truncatedServices",
    }  # fmt: skip
    assert journey["missingServices"] == journey["truncatedServices"] == journey["journeys"] == []
    assert journey["record"] == {
        "product_area": journey["record"]["product_area"],
        "partner_reference": reference,
        "pool_id": "EUR-USDT",
        "quote_id": trade["quoteId"],
        "transact_id": trade["transactId"],
        "status": "settled",
        "request_id": trade["requestId"],
        "reconciliation_state": "open",
    }
    times = [record["time"] for record in journey["records"]]
    assert times == sorted(times)
    ids = (trade["quoteId"], trade["requestId"], webhook.event_id, reference)
    for identifier, told in zip(
        ids, await asyncio.gather(*(poolctl.answer("journey", id_) for id_ in ids)), strict=True
    ):
        assert told["record"]["transact_id"] == trade["transactId"], identifier
    await partner.rest.accept(clientReference=reference)
    listed = await poolctl.answer("journey", reference, "--as", "Anna", "--limit", "1")
    assert (len(listed["journeys"]), listed["records"], bool(listed["nextPageToken"])) == (1, [], True)
    rows = await databases.rows(
        "gateway",
        "SELECT caller, asked_by, outcome FROM support_accesses WHERE searched_id = $1 ORDER BY access_id",
        reference,
    )
    # By its certificate where it has one, else by what it says of itself.
    user, caller = getpass.getuser(), "operator" if mtls else "poolctl"
    assert [tuple(row.values()) for row in rows] == [
        (caller, user, "found"),
        (caller, f"Anna ({user})", "listed"),
    ]


async def test_the_trace_of_a_transact_spans_all_five_services(
    poolctl: Poolctl, partner: Partner, receiver: WebhookReceiver
) -> None:
    trade = await partner.rest.accept()
    await receiver.event_of(trade["transactId"], seconds=15)

    async def whole() -> dict[str, Any] | None:
        ended = await poolctl("trace", trade["requestId"], "--json")
        services = {span["service"] for span in ended.document["spans"]} if ended.status == 0 else set()
        return ended.document if services >= SERVICES else None

    trace = await eventually(whole, "all five services have spans of the request")
    assert set(trace) == {"requestId", "traceIds", "spans"}
    ids = {(span["traceId"], span["spanId"]) for span in trace["spans"]}
    parents = {(span["traceId"], span["parentSpanId"]) for span in trace["spans"] if span["parentSpanId"]}
    assert parents <= ids, "no edge leads to a span that is missing"
    assert [span["depth"] for span in trace["spans"]].count(0) == 1, "everything hangs together"


async def test_deliveries_are_listed_without_their_bodies(
    poolctl: Poolctl, partner: Partner, receiver: WebhookReceiver
) -> None:
    trade = await partner.rest.accept()
    webhook = await receiver.event_of(trade["transactId"], seconds=15)

    async def delivered() -> dict[str, Any] | None:
        listed = await poolctl.answer("deliveries", "list", "--organization", partner.organization_id)
        found: dict[str, Any] = next((row for row in listed["deliveries"] if row["state"] == "delivered"), {})
        return found or None

    row = await eventually(delivered, "the delivery is done")
    assert (row["eventId"], row["type"], row["attempts"]) == (webhook.event_id, "pool.transaction.settled", 1)
    assert "body" not in row


async def test_load_tells_throughput_and_percentiles_of_each_step(poolctl: Poolctl) -> None:
    report = await poolctl.answer("load", "--seconds", "2", "--concurrency", "8")
    assert report["failures"] == {}
    assert report["throughput"] > 0
    assert set(report["steps"]) == {"quote", "transact", "webhook", "journey"}
    for figures in report["steps"].values():
        assert figures["count"] == report["journeys"]
        assert figures["p50Ms"] <= figures["p95Ms"] <= figures["p99Ms"]


async def test_a_refusal_says_why_and_its_request_id_on_stderr_and_exits_1(poolctl: Poolctl) -> None:
    refused = (
        ("payin", "org_01NOBODY", "--currency", "EUR", "--amount", "1.00"),
        ("partner", "entitle", "org_01NOBODY", "--status", "suspended"),
        ("partner", "create", "--name", "x", "--pools", "EUR-GOLD"),
        ("partner", "show", "org_01NOBODY"),
        ("key", "revoke", "key_01NOBODY"),
        ("key", "rotate", "key_01NOBODY"),
        ("journey", "pt_test_01NOTHING"),
        ("trace", "req_01NOTHING"),
    )
    for words, ended in zip(
        refused, await asyncio.gather(*(poolctl(*words, "--json") for words in refused)), strict=True
    ):
        assert (ended.status, ended.stdout) == (1, ""), words
        assert "request id: req_" in ended.stderr, words
        assert "Traceback" not in ended.stderr, words


async def test_the_demo_tells_its_story_on_a_running_stack(poolctl: Poolctl) -> None:
    demo = await poolctl.answer("demo")
    assert demo["status"] == "settled"
    assert demo["webhook"]["verified"] is True
    assert demo["ledger"]["available"] == "900.00"
    assert demo["trialBalance"]["balanced"] is True
    assert {span["service"] for span in demo["trace"]["spans"]} >= SERVICES
    ended = await poolctl("demo")
    assert ended.status == 0, ended.stderr
    assert max(map(len, ended.stdout.splitlines())) <= 120
    assert ended.stdout.splitlines()[-1].startswith("demo: 100.00 EUR became 107.904009 USDT, settled")
