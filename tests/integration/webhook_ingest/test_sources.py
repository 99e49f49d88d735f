"""Protects sources: their secrets, encrypted and rotated with an overlap, their schemes, and what operators see."""

import hashlib
import hmac
import json
import time

import pytest

from poolkit.database import Database
from poolkit.errors import InvalidRequest, NameTaken, NotFound
from poolkit.ids import new_id
from poolkit.rpc.channels import open_channel
from poolkit.security import Cipher, new_encryption_key, new_webhook_secret
from pools.webhook_ingest.v1 import webhook_ingest_pb2 as pb
from pools_contracts.webhook_ingest import WebhookIngestClient
from tests.integration.databases import RunningPostgres
from tests.integration.webhook_ingest.door import SETTLEMENT, Door, TradeDesk, settled
from tests.waiting import eventually


@pytest.fixture
async def admin(door: Door) -> WebhookIngestClient:
    """A colleague's client, to whom refusals come as errors of the catalogue."""
    return WebhookIngestClient(open_channel(f"127.0.0.1:{door.runtime.rpc.port}", "test"))


def unique() -> str:
    return new_id("key").lower().replace("_", "-")


async def test_a_source_is_made_with_a_secret_of_its_own_that_is_shown_once(
    door: Door, desk: TradeDesk, admin: WebhookIngestClient
) -> None:
    name = unique()
    made = await admin.admin.CreateSource(pb.CreateSourceRequest(name=name))
    assert made.secret.startswith("whsec_")
    assert made.source.path == f"/v1/webhooks/{name}"
    assert list(made.source.kinds) == ["trade.settled", "trade.failed", "trade.released", "trade.returned"]
    door.secrets[name] = made.secret
    # It is open at once.
    assert (await door.post(settled((await desk.reserve()).trade_id), source=name)).status == 200
    page = await admin.admin.ListSources(pb.ListSourcesRequest(page_size=100))
    listed = next(source for source in page.sources if source.name == name)
    assert made.secret not in str(listed)
    assert listed.active_secret_count == 1
    stored = await door.rows("SELECT encrypted FROM source_secrets WHERE source = $1", name)
    assert made.secret.encode() not in bytes(stored[0]["encrypted"])
    assert made.secret[6:].encode() not in bytes(stored[0]["encrypted"])


async def test_a_name_is_taken_once(admin: WebhookIngestClient) -> None:
    with pytest.raises(NameTaken):
        await admin.admin.CreateSource(pb.CreateSourceRequest(name=SETTLEMENT))


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"name": "Not a name"}, "name"),
        ({"name": "acme", "kinds": ["trade.reserved"]}, "kinds"),
        ({"name": "acme", "secret": "whsec_c2hvcnQ="}, "secret"),
        ({"name": "acme", "scheme": 9}, "scheme"),
        ({"name": "acme", "signature_header": "x-other"}, "signature_header"),
    ],
)
async def test_a_source_that_does_not_fit_is_refused(
    admin: WebhookIngestClient, request_fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await admin.admin.CreateSource(pb.CreateSourceRequest(**request_fields))  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_during_the_overlap_of_a_rotation_both_secrets_hold_and_then_the_new_one(
    door: Door, desk: TradeDesk, admin: WebhookIngestClient
) -> None:
    name = unique()
    await door.add_source(name)
    old = door.secrets[name]
    rotated = await admin.admin.RotateSource(pb.RotateSourceRequest(name=name, overlap_seconds=1))
    assert (rotated.source.active_secret_count, rotated.secret == old) == (2, False)
    for secret in (old, rotated.secret):
        body = json.dumps(settled((await desk.reserve()).trade_id)).encode()
        assert (await door.post(body, source=name, headers=door.signed(body, secret=secret))).status == 200

    async def old_is_over() -> bool:
        body = json.dumps(settled("pt_test_1")).encode()
        return (await door.post(body, source=name, headers=door.signed(body, secret=old))).status == 401

    await eventually(old_is_over, "old is over")
    door.secrets[name] = rotated.secret
    assert (await door.post(settled((await desk.reserve()).trade_id), source=name)).status == 200


async def test_without_an_overlap_a_leaked_secret_is_worth_nothing_at_once(
    door: Door, admin: WebhookIngestClient
) -> None:
    name = unique()
    await door.add_source(name)
    for _ in range(3):
        await admin.admin.RotateSource(pb.RotateSourceRequest(name=name, overlap_seconds=600))
    rotated = await admin.admin.RotateSource(pb.RotateSourceRequest(name=name))
    assert rotated.source.active_secret_count == 1
    assert (await door.post(settled("pt_test_1"), source=name)).status == 401


async def test_secrets_in_force_are_bounded_and_rotations_checked(admin: WebhookIngestClient, door: Door) -> None:
    name = unique()
    await door.add_source(name)
    for _ in range(7):
        await admin.admin.RotateSource(pb.RotateSourceRequest(name=name, overlap_seconds=600))
    with pytest.raises(InvalidRequest, match="in force already"):
        await admin.admin.RotateSource(pb.RotateSourceRequest(name=name, overlap_seconds=600))
    with pytest.raises(InvalidRequest):
        await admin.admin.RotateSource(pb.RotateSourceRequest(name=name, overlap_seconds=604_801))
    with pytest.raises(NotFound):
        await admin.admin.RotateSource(pb.RotateSourceRequest(name="nobody-here"))


async def test_another_replica_s_change_is_heard_of(door: Door) -> None:
    name = unique()
    await door.add_source(name)
    assert (await door.post(settled("pt_test_1"), source=name)).status == 200
    async with door.database.transaction() as unit:
        await unit.execute("UPDATE source_secrets SET expires_at = now() WHERE source = $1", name)
        await unit.fetch("SELECT pg_notify('sources', '')")
        await unit.commit()

    async def refused() -> bool:
        return (await door.post(settled("pt_test_1"), source=name)).status == 401

    await eventually(refused, "refused", seconds=1.0)


async def test_a_secret_that_this_replica_cannot_read_closes_its_own_source_for_a_while_and_no_other(
    door: Door, desk: TradeDesk
) -> None:
    name = unique()
    await door.add_source(name)
    report = settled((await desk.reserve()).trade_id)

    async def changed(sql: str, *arguments: object) -> None:
        async with door.database.transaction() as unit:
            await unit.execute(sql, name, *arguments)
            await unit.fetch("SELECT pg_notify('sources', '')")
            await unit.commit()

    # As a replica would that has a new key already.
    elsewhere = Cipher(new_encryption_key()).encrypt(new_webhook_secret())
    await changed(
        "INSERT INTO source_secrets (source, encrypted, request_id, traceparent) VALUES ($1, $2, '', '')", elsewhere
    )

    async def closed() -> bool:
        answer = await door.post(report, source=name)
        return (answer.status, answer.code, answer.headers.get("Retry-After")) == (503, "unavailable", "1")

    await eventually(closed, "its sender is to come again")
    assert (await door.post(settled((await desk.reserve()).trade_id))).status == 200
    await changed("UPDATE source_secrets SET expires_at = now() WHERE source = $1 AND encrypted = $2", elsewhere)

    async def taken() -> bool:
        return (await door.post(report, source=name)).status == 200

    await eventually(taken, "without it the source is as it was")


@pytest.mark.parametrize("scheme", ["timed_hex", "hex"])
async def test_the_other_common_schemes_are_verified_too(
    door: Door, desk: TradeDesk, admin: WebhookIngestClient, scheme: str
) -> None:
    name, secret = unique(), "the provider's own secret".replace(" ", "-")
    timed = scheme == "timed_hex"
    await admin.admin.CreateSource(
        pb.CreateSourceRequest(
            name=name,
            secret=secret,
            scheme=pb.SIGNATURE_SCHEME_TIMED_HEX if timed else pb.SIGNATURE_SCHEME_HEX,
            signature_header="X-Provider-Signature",
        )
    )
    body = json.dumps(settled((await desk.reserve()).trade_id)).encode()

    def signature(key: str, seconds: int = 0) -> str:
        moment = int(time.time()) - seconds
        signed = f"{moment}.".encode() + body if timed else body
        digest = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
        return f"t={moment},v1={digest}" if timed else digest

    async def post(*signatures: str) -> int:
        headers = [("x-provider-signature", value) for value in signatures]
        return (await door.post(body, source=name, headers=headers)).status

    good = signature(secret)
    assert await post(good) == 200
    # One byte of the body, one digit of the signature, another case of it, and what is no hex at all.
    last = "0" if good[-1] != "0" else "1"
    broken = ["", good[:-1], good[:-1] + last, good[:-1] + "g", good[:-2] + "é", "v1=" + good, good + "=="]
    for given in [signature("another-secret-of-nobody"), *broken]:
        assert await post(given) in {400, 401}, given
    assert await post() == 401
    assert await post(good, good) == 401
    body = body.replace(b"0xabc", b"0xabd")
    assert await post(good) == 401
    if timed:
        assert await post(signature(secret, seconds=400)) == 400
        assert await post(signature(secret, seconds=-400)) == 400
        assert await post(good.partition(",")[2]) in {400, 401}
    refused = await door.rows("SELECT DISTINCT reason FROM rejected_webhooks WHERE source = $1", name)
    assert {row["reason"] for row in refused} <= {"signature_invalid", "timestamp_stale"}
    assert len(await door.rows("SELECT 1 FROM webhooks WHERE source = $1", name)) == 1


async def test_webhooks_are_listed_newest_first_by_source_and_state(
    door: Door, desk: TradeDesk, admin: WebhookIngestClient
) -> None:
    name = unique()
    await door.add_source(name)
    taken = [(await door.post(settled((await desk.reserve()).trade_id), source=name)).body["webhookId"] for _ in "123"]
    await door.post(b"{}", source=name, headers={})
    pages = []
    request = pb.ListWebhooksRequest(source=name, page_size=2)
    while True:
        page = await admin.admin.ListWebhooks(request)
        pages.append(list(page.webhooks))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [len(page) for page in pages] == [2, 2]
    newest, *others = [webhook for page in pages for webhook in page]
    assert (newest.state, newest.refusal_reason, newest.kind) == (pb.WEBHOOK_STATE_REJECTED, "signature_invalid", "")
    assert [webhook.webhook_id for webhook in others] == taken[::-1]
    body_hash = newest.body_sha256
    assert body_hash == hashlib.sha256(b"{}").hexdigest()
    rejected = await admin.admin.ListWebhooks(pb.ListWebhooksRequest(source=name, state=pb.WEBHOOK_STATE_REJECTED))
    assert [webhook.webhook_id for webhook in rejected.webhooks] == [newest.webhook_id]
    for field, value in [("page_size", 101), ("page_token", "no token"), ("state", 9)]:
        with pytest.raises(InvalidRequest) as refused:
            await admin.admin.ListWebhooks(pb.ListWebhooksRequest(**{field: value}))  # type: ignore[arg-type]
        assert refused.value.field == field


async def test_sources_are_listed_by_name_page_by_page(door: Door, admin: WebhookIngestClient) -> None:
    for _ in range(2):
        await door.add_source(unique())
    names: list[str] = []
    request = pb.ListSourcesRequest(page_size=2)
    while True:
        page = await admin.admin.ListSources(request)
        names += [source.name for source in page.sources]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == sorted(names)
    assert {row["name"] for row in await door.rows("SELECT name FROM sources")} == set(names)


async def test_the_service_can_neither_change_nor_delete_what_came(door: Door, postgres: RunningPostgres) -> None:
    runtime_role: Database = door.runtime.database
    for sql in (
        "UPDATE webhooks SET amount = 1",
        "DELETE FROM webhooks",
        "UPDATE webhook_attempts SET outcome = 'processed'",
        "DELETE FROM webhook_attempts",
        "UPDATE rejected_webhooks SET reason = ''",
        "DELETE FROM source_secrets",
        "UPDATE sources SET kinds = '{}'",
    ):
        with pytest.raises(Exception, match="permission denied"):
            await runtime_role.execute(sql)
