"""Protects what a signed body must be: small, JSON, with the fields of its kind; and what counts as the same again."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
from typing import Any

import pytest

from poolkit.ids import new_id
from pools.webhook_ingest.v1 import webhook_ingest_pb2
from tests.integration.webhook_ingest.door import BANK, SETTLEMENT, Door, TradeDesk, credited, settled
from webhook_ingest.api.http import BODY_BYTES_MAX

# A signed body, the field that the answer names, for each thing that may be wrong with one.
UNREADABLE: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "nothing": (b"", ""),
    "no JSON": (b"{", ""),
    "not UTF-8, where JSON needs it": (b'{"eventId": "\\ud800"}', ""),
    "base64": (base64.b64encode(json.dumps(settled("pt_test_1")).encode()), ""),
    "a list": (b"[]", ""),
    "deep nesting": (b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", ""),
    "no event id": (settled("pt_test_1", eventId=None), ""),
    "an empty event id": (settled("pt_test_1", eventId=""), "eventId"),
    "an event id that is a number": (settled("pt_test_1", eventId=7), "eventId"),
    "an event id too long": (settled("pt_test_1", eventId="x" * 129), "eventId"),
    "an event id with a NUL": (settled("pt_test_1", eventId="a\x00b"), "eventId"),
    "a kind that does not exist": (settled("pt_test_1", kind="trade.reserved"), "kind"),
    "no trade": (settled("pt_test_1", transactId=None), "transactId"),
    "settled without its network transaction": (
        settled("pt_test_1", networkTransactionId=None), "networkTransactionId",
    ),
    "settled without its currency": (settled("pt_test_1", cryptoCurrency=None), "cryptoCurrency"),
    "settled without its amount": (settled("pt_test_1", cryptoAmount=None), "cryptoAmount"),
    "an amount that is a number": (settled("pt_test_1", cryptoAmount=1.5), "cryptoAmount"),
    "an amount with too many digits": (settled("pt_test_1", cryptoAmount="1.0000001"), "cryptoAmount"),
    "an amount of nothing": (settled("pt_test_1", cryptoAmount="0"), "cryptoAmount"),
    "a negative amount": (settled("pt_test_1", cryptoAmount="-1"), "cryptoAmount"),
    "a moment without an offset": (settled("pt_test_1", occurredAt="2026-11-22T10:00:00"), "occurredAt"),
    "no moment": (settled("pt_test_1", occurredAt=None), ""),
    "a moment that is none": (settled("pt_test_1", occurredAt="yesterday"), "occurredAt"),
    "a moment at the beginning of time": (settled("pt_test_1", occurredAt="0001-01-01T00:00:00+14:00"), "occurredAt"),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNREADABLE)
async def test_what_cannot_be_read_is_refused_by_name_and_kept(door: Door, fault: str) -> None:
    event, field = UNREADABLE[fault]
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    request_id = new_id("req")
    answer = await door.post(body, headers=door.signed(body), X_Request_Id=request_id)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.body["message"].startswith(f"{field}: " if field else "")
    (kept,) = await door.rejected(request_id)
    assert (kept["reason"], kept["signature_result"], kept["body_bytes"]) == ("invalid_request", "valid", len(body))


# Bodies that are no UTF-8, which JSON has to be and Standard Webhooks can sign nothing else.
ENCODED: dict[str, bytes] = {
    "bytes that are no UTF-8": b'{"eventId": "\xff\xfe"}',
    "UTF-16": json.dumps(settled("pt_test_1")).encode("utf-16"),
    "compressed": gzip.compress(json.dumps(settled("pt_test_1")).encode()),
}


@pytest.mark.parametrize("encoding", ENCODED)
async def test_a_body_in_another_encoding_is_judged_as_it_came_and_kept(door: Door, encoding: str) -> None:
    """Nobody can make the door unpack a bomb: the bytes that came are what was signed, or nothing was."""
    body, request_id = ENCODED[encoding], new_id("req")
    headers = door.signed(b"{}")
    signed = b".".join((b"msg_1", headers["webhook-timestamp"].encode(), body))
    digest = hmac.new(base64.b64decode(door.secrets[SETTLEMENT].removeprefix("whsec_")), signed, hashlib.sha256)
    headers["webhook-signature"] = "v1," + base64.b64encode(digest.digest()).decode()
    answer = await door.post(body, headers=headers | {"content-encoding": "gzip"}, X_Request_Id=request_id)
    assert (answer.status, answer.code) == (401, "signature_invalid")
    (kept,) = await door.rejected(request_id)
    assert (kept["body_head"], kept["signature_result"]) == (body, "signature_invalid")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_while_it_is_read(door: Door, chunked: bool) -> None:
    body = b" " * (BODY_BYTES_MAX + 1)

    async def pieces() -> Any:
        for first in range(0, len(body), 8192):
            yield body[first : first + 8192]

    headers = door.signed(body)
    url = f"{door.url}/v1/webhooks/{SETTLEMENT}"
    async with door.session.post(url, data=pieces() if chunked else body, headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (413, "request_too_large")


async def test_a_body_of_exactly_the_limit_is_taken(door: Door, desk: TradeDesk) -> None:
    event = settled((await desk.reserve()).trade_id)
    padding = BODY_BYTES_MAX - len(json.dumps({**event, "padding": ""}).encode())
    body = json.dumps({**event, "padding": "x" * padding}).encode()
    assert len(body) == BODY_BYTES_MAX
    assert (await door.post(body)).status == 200


async def test_the_same_fields_written_otherwise_are_a_duplicate(door: Door, desk: TradeDesk) -> None:
    event = settled((await desk.reserve()).trade_id, cryptoAmount="107.9")
    first = await door.post(event)
    rewritten = dict(reversed(event.items())) | {
        "cryptoAmount": "107.900000",
        "occurredAt": "2026-11-22T11:00:00.000+01:00",
        "extra": {"unknown": "fields do not count"},
    }
    again = await door.post(json.dumps(rewritten, indent=4).encode())
    assert again.body == {"received": True, "webhookId": first.body["webhookId"], "duplicate": True}
    assert len(await door.stored(event["eventId"])) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"transactId": "pt_test_other"},
        {"networkTransactionId": "0xdef"},
        {"cryptoAmount": "107.904008"},
        {"cryptoCurrency": "USDC"},
        {"occurredAt": "2026-11-22T10:00:01Z"},
        {"kind": "trade.failed"},
    ],
)
async def test_the_same_event_id_with_other_fields_is_a_conflict_that_is_kept(
    door: Door, desk: TradeDesk, other: dict[str, str]
) -> None:
    event = settled((await desk.reserve()).trade_id)
    first = await door.post(event)
    for _ in range(3):
        answer = await door.post(event | other)
        assert (answer.status, answer.code) == (409, "event_conflict")
    taken, conflict = await door.stored(event["eventId"])
    assert taken["webhook_id"] == first.body["webhookId"]
    assert (conflict["refusal_reason"], conflict["first_webhook_id"]) == ("event_conflict", taken["webhook_id"])
    shown = await door.webhook(conflict["webhook_id"])
    assert (shown.state, len(shown.attempts)) == (webhook_ingest_pb2.WEBHOOK_STATE_CONFLICT, 0)
    # The first keeps the id, and its repeats are what they were.
    assert (await door.post(event)).body["duplicate"] is True


async def test_of_two_contradicting_events_at_once_one_is_taken(door: Door, desk: TradeDesk) -> None:
    event = settled((await desk.reserve()).trade_id)
    events = [event | {"networkTransactionId": f"0x{number % 2}"} for number in range(10)]
    answers = await asyncio.gather(*(door.post(one) for one in events))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [409] * 5
    assert [answer.body.get("duplicate") for answer in answers].count(False) == 1
    assert len(await door.stored(event["eventId"])) == 2


async def test_two_sources_may_use_the_same_event_id(door: Door, desk: TradeDesk) -> None:
    event = settled((await desk.reserve()).trade_id)
    payin = credited(eventId=event["eventId"])
    answers = [await door.post(event), await door.post(payin, source=BANK)]
    assert [answer.body["duplicate"] for answer in answers] == [False, False]


async def test_a_sender_too_slow_is_cut_off(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_ingest.api.http.BODY_SECONDS_MAX", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rpartition(":")[2]))
    writer.write(f"POST /v1/webhooks/{SETTLEMENT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"}")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_request"' in answer
    writer.close()
