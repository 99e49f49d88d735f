"""Protects the door: what was not signed by its source just now has no effect, is kept, and occupies no event id."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from poolkit.ids import new_id
from poolkit.security import new_webhook_secret, sign_standard
from tests.integration.webhook_ingest.door import BANK, SETTLEMENT, Answer, Door, TradeDesk, credited, settled
from trade.domain.trade import Status

Headers = Callable[[Door, bytes], Any]


def without(name: str) -> Headers:
    return lambda door, body: {key: value for key, value in door.signed(body).items() if key != name}


def changed(name: str, value: str) -> Headers:
    return lambda door, body: door.signed(body) | {name: value}


def twice(name: str) -> Headers:
    return lambda door, body: [*door.signed(body).items(), (name, door.signed(body)[name])]


# What is wrong with the headers, and what the door answers.
UNSIGNED: dict[str, tuple[Headers, int, str]] = {
    "no headers at all": (lambda door, body: {}, 401, "signature_invalid"),
    "no signature": (without("webhook-signature"), 401, "signature_invalid"),
    "no id": (without("webhook-id"), 401, "signature_invalid"),
    "no timestamp": (without("webhook-timestamp"), 401, "signature_invalid"),
    "a signature that is not base64": (changed("webhook-signature", "v1,???"), 401, "signature_invalid"),
    "a signature without a version": (changed("webhook-signature", "abc"), 401, "signature_invalid"),
    "a signature that is not ASCII": (changed("webhook-signature", "v1,é"), 401, "signature_invalid"),
    "a hundred signatures": (changed("webhook-signature", " ".join(["v1,AA=="] * 100)), 401, "signature_invalid"),
    "another id than was signed": (changed("webhook-id", "msg_2"), 401, "signature_invalid"),
    "a secret of nobody": (
        lambda door, body: door.signed(body, secret=new_webhook_secret()), 401, "signature_invalid",
    ),
    "the secret of another source": (lambda door, body: door.signed(body, source=BANK), 401, "signature_invalid"),
    "signed too long ago": (lambda door, body: door.signed(body, age_seconds=301), 400, "timestamp_stale"),
    "signed in the future": (lambda door, body: door.signed(body, age_seconds=-303), 400, "timestamp_stale"),
    "a timestamp that is no number": (changed("webhook-timestamp", "today"), 400, "timestamp_stale"),
    "an empty timestamp": (changed("webhook-timestamp", ""), 400, "timestamp_stale"),
    "two ids": (twice("webhook-id"), 401, "signature_invalid"),
    "two timestamps": (twice("webhook-timestamp"), 401, "signature_invalid"),
    "two signature headers": (twice("webhook-signature"), 401, "signature_invalid"),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNSIGNED)
async def test_what_is_not_signed_well_is_refused_kept_and_occupies_nothing(
    door: Door, desk: TradeDesk, fault: str
) -> None:
    headers, status, code = UNSIGNED[fault]
    trade = await desk.reserve()
    event = settled(trade.trade_id)
    body = json.dumps(event).encode()
    request_id = new_id("req")
    sent = [*_pairs(headers(door, body)), ("x-request-id", request_id)]
    answer = await door.post(body, headers=sent)
    assert (answer.status, answer.code) == (status, code)
    (kept,) = await door.rejected(request_id)
    assert (kept["reason"], kept["signature_result"], kept["body_head"]) == (code, code, body)
    assert await door.stored(event["eventId"]) == []
    # The event itself, well signed, is not held up by it.
    assert (await door.post(event)).body["duplicate"] is False
    await desk.until_status(trade.trade_id, Status.SETTLED)


def _pairs(headers: Any) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, dict) else list(headers)


@pytest.mark.parametrize("age_seconds", [295, -295])
async def test_clocks_may_differ_by_five_minutes(door: Door, desk: TradeDesk, age_seconds: int) -> None:
    body = json.dumps(settled((await desk.reserve()).trade_id)).encode()
    answer = await door.post(body, headers=door.signed(body, age_seconds=age_seconds))
    assert answer.status == 200


async def test_a_body_changed_by_one_byte_is_refused(door: Door, desk: TradeDesk) -> None:
    trade = await desk.reserve()
    body = json.dumps(settled(trade.trade_id)).encode()
    signed = door.signed(body)
    for position in range(0, len(body), 7):
        forged = bytearray(body)
        forged[position] ^= 1
        answer = await door.post(bytes(forged), headers=signed)
        assert answer.code == "signature_invalid", position
    assert await desk.status(trade.trade_id) == Status.RESERVED


async def test_signed_with_several_secrets_one_of_them_ours_is_enough(door: Door, desk: TradeDesk) -> None:
    body = json.dumps(settled((await desk.reserve()).trade_id)).encode()
    theirs = door.signed(body, secret=new_webhook_secret())["webhook-signature"]
    ours = door.signed(body)
    answer = await door.post(body, headers=ours | {"webhook-signature": f"v2,xx {theirs} {ours['webhook-signature']}"})
    assert answer.status == 200


async def test_header_names_may_be_written_in_any_case(door: Door, desk: TradeDesk) -> None:
    body = json.dumps(settled((await desk.reserve()).trade_id)).encode()
    answer = await door.post(body, headers={name.title(): value for name, value in door.signed(body).items()})
    assert answer.status == 200


async def test_an_unknown_source_answers_as_nothing_does(door: Door) -> None:
    door.secrets["nobody"] = new_webhook_secret()
    answer = await door.post(settled("pt_test_1"), source="nobody")
    elsewhere = await door.session.post(f"{door.url}/v1/elsewhere")
    assert (answer.status, answer.code) == (404, "not_found")
    assert (await elsewhere.json())["message"] == answer.body["message"]


async def test_errors_have_the_body_that_the_contract_gives_them(door: Door) -> None:
    answer = await door.post(b"{}", headers={"x-request-id": "mine"})
    assert answer.body == {
        "type": "authentication",
        "code": "signature_invalid",
        "message": answer.body["message"],
        "request_id": "mine",
        "doc_url": answer.body["doc_url"],
        "statusCode": 401,
    }
    assert answer.headers["X-Request-Id"] == "mine"


async def test_a_source_sends_its_own_kinds_only(door: Door) -> None:
    payin = credited()
    answer = await door.post(payin, source=SETTLEMENT, X_Request_Id=payin["eventId"])
    assert (answer.status, answer.code) == (403, "kind_not_allowed")
    (kept,) = await door.rejected(payin["eventId"])
    assert (kept["reason"], kept["signature_result"]) == ("kind_not_allowed", "valid")
    assert (await door.post(settled("pt_test_1"), source=BANK)).status == 403


async def test_another_method_is_not_supported(door: Door) -> None:
    async with door.session.get(f"{door.url}/v1/webhooks/{SETTLEMENT}") as response:
        body = await response.json()
        assert (response.status, body["code"]) == (405, "method_not_allowed")
        assert response.headers["Allow"] == "POST"


async def test_the_standard_library_of_other_senders_is_understood(door: Door, desk: TradeDesk) -> None:
    """A secret without its prefix is the same secret to Standard Webhooks."""
    body = json.dumps(settled((await desk.reserve()).trade_id)).encode()
    secret = door.secrets[SETTLEMENT].removeprefix("whsec_")
    timestamp = int(door.signed(body)["webhook-timestamp"])
    answer: Answer = await door.post(body, headers=sign_standard([secret], "msg_1", timestamp, body))
    assert answer.status == 200
