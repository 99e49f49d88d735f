"""The REST edge: what a request may look like, and what every answer looks like, errors above all."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.integration.gateway.calls import from_response
from tests.integration.gateway.house import Partner, RunningGateway

QUOTE = {
    "side": "on_ramp",
    "amount": "100.00",
    "amountCurrency": "EUR",
    "network": "tron",
    "destinationAddress": "TQabcdefgh0001",
}


@pytest.fixture(scope="module")
async def partner(alone: RunningGateway) -> Partner:
    """A partner that passes every gate."""
    return await alone.new_partner()


def auth(partner: Partner, **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {partner.secret_key}", **headers}


async def post(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, content: object, path: str = "quote"
) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await http.post(f"{alone.rest}/v1/pools/EUR-USDT/{path}", content=body, headers=auth(partner))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"{", ""),
        (b"null", ""),
        (b"[]", ""),
        (b'"text"', ""),
        (b"\xff\xfe", ""),
        (b'{"side": "\xed\xa0\x80"}', ""),
        (b"[" * 60_000, ""),
        (b'{"side":' + b"[" * 60_000, "side"),
        (b'{"amount": 100.00, "side": "on_ramp"}', "amount"),
        (json.dumps(QUOTE).encode() + b"{}", ""),
        ({**QUOTE, "surprise": 1}, "surprise"),
        ({**QUOTE, "Amount": "1"}, "Amount"),
        ({**QUOTE, "amount_currency": "EUR"}, "amount_currency"),
        ({name: value for name, value in QUOTE.items() if name != "network"}, "network"),
        ({**QUOTE, "side": "buy"}, "side"),
        ({**QUOTE, "side": None}, "side"),
        ({**QUOTE, "type": "binding"}, "type"),
        ({**QUOTE, "amount": "100.001"}, "amount"),
        ({**QUOTE, "amount": "0.00"}, "amount"),
        ({**QUOTE, "amount": "1e2"}, "amount"),
        ({**QUOTE, "amount": " 1"}, "amount"),
        ({**QUOTE, "amount": "9" * 65}, "amount"),
        ({**QUOTE, "amountCurrency": "XXX"}, "amountCurrency"),
        ({**QUOTE, "destinationAddress": None}, "destinationAddress"),
        ({**QUOTE, "side": "off_ramp"}, "destinationAddress"),
        ({**QUOTE, "clientReference": "r" * 129}, "clientReference"),
        ({**QUOTE, "clientReference": "a\x00b"}, "clientReference"),
        ({**QUOTE, "clientReference": 7}, "clientReference"),
        (b'{"surprise' + b"e" * 5000 + b'":1}', None),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_naming_the_field(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, body: object, field: str | None
) -> None:
    response = await post(alone, http, partner, body)
    answer = from_response(response)
    assert (response.status_code, answer.code) == (400, "invalid_request")
    assert field is None or answer.field == field
    assert len(response.content) < 1000


async def test_unpaired_surrogates_are_refused_or_replaced_but_never_stored(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner
) -> None:
    body = json.dumps({**QUOTE, "clientReference": "x"}).replace('"x"', '"\\ud800abcdef"')
    answer = from_response(await post(alone, http, partner, body.encode()))
    assert answer.code == "invalid_request"


async def test_a_body_over_the_limit_is_refused_whether_or_not_it_says_its_length(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield b" " * 1024

    said = await http.post(f"{alone.rest}/v1/pools/EUR-USDT/quote", content=b" " * 65_537, headers=auth(partner))
    unsaid = await http.post(f"{alone.rest}/v1/pools/EUR-USDT/quote", content=parts(), headers=auth(partner))
    for response in (said, unsaid):
        assert (response.status_code, from_response(response).code) == (413, "request_too_large")
    fits = await post(alone, http, partner, json.dumps(QUOTE).encode().ljust(65_536))
    assert fits.status_code == 200


async def test_a_body_that_comes_too_slowly_is_refused(
    alone: RunningGateway, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.rest.BODY_SECONDS_MAX", 0.1)
    reader, writer = await asyncio.open_connection(*alone.rest.removeprefix("http://").split(":"))
    writer.write(
        f"POST /v1/pools/EUR-USDT/quote HTTP/1.1\r\nauthorization: Bearer {partner.secret_key}\r\n"
        "content-length: 100\r\n\r\n{".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")


async def test_the_gates_come_before_the_size_and_the_schema(alone: RunningGateway, http: httpx.AsyncClient) -> None:
    response = await http.post(f"{alone.rest}/v1/pools/EUR-USDT/quote", content=b" " * 200_000)
    assert from_response(response).code == "unauthorized"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/pools/", "/v1/pools/EUR-USDT", "/v2/pools", "/v1/pools/x/y/z"])
async def test_an_unknown_path_answers_in_the_same_shape_with_or_without_a_key(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, path: str
) -> None:
    for headers in ({}, auth(partner)):
        response = await http.get(alone.rest + path, headers=headers)
        assert (response.status_code, from_response(response).code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/pools", "GET"),
        ("DELETE", "/v1/pools/quotes/pq_test_1", "GET"),
        ("GET", "/v1/pools/EUR-USDT/quote", "POST"),
        ("PUT", "/v1/pools/EUR-USDT/transact", "POST"),
        ("OPTIONS", "/v1/pools/EUR-USDT/transact", "POST"),
    ],
)
async def test_a_method_that_a_path_does_not_have_names_those_it_has(
    alone: RunningGateway, http: httpx.AsyncClient, method: str, path: str, allow: str
) -> None:
    response = await http.request(method, alone.rest + path)
    assert (response.status_code, from_response(response).code) == (405, "method_not_allowed")
    assert response.headers["allow"] == allow


async def test_every_answer_carries_a_request_id_its_own_or_a_new_one(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner
) -> None:
    for path in ("/v1/pools", "/nowhere", "/v1/pools/ledger?currency=EUR"):
        own = await http.get(alone.rest + path, headers=auth(partner, **{"x-request-id": "my.request-1_A"}))
        assert own.headers.get_list("x-request-id") == ["my.request-1_A"]
        for unusable in ("", "with space", "a" * 129, "ä"):
            minted = await http.get(alone.rest + path, headers={"x-request-id": unusable.encode()})
            assert minted.headers["x-request-id"].startswith("req_")
        assert from_response(own).request_id == "my.request-1_A"


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        ("EUR-USDT/quote?amount=1.00", json.dumps(QUOTE).encode(), "amount"),
        ("EUR-USDT/quote?surprise", json.dumps(QUOTE).encode(), "surprise"),
        ("EUR-USDT/transact?quoteId=pq_test_1", b'{"quoteId": "pq_test_1"}', "quoteId"),
        ("quotes/pq_test_1/reject?surprise=1", b"", "surprise"),
        ("quotes/pq_test_1/reject", b'{"reason": "dear"}', "reason"),
        ("quotes/pq_test_1/reject", b"[]", ""),
        ("quotes/pq_test_1/reject", b"reason=dear", ""),
    ],
)
async def test_what_nobody_asks_for_is_refused_wherever_it_stands(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, path: str, content: bytes, field: str
) -> None:
    headers = auth(partner, **{"idempotency-key": "k"})
    answer = from_response(await http.post(f"{alone.rest}/v1/pools/{path}", content=content, headers=headers))
    assert (answer.code, answer.field) == ("invalid_request", field)


@pytest.mark.parametrize("content", [b"", b" ", b"{}"])
async def test_a_reject_takes_no_body_or_one_with_nothing_in_it(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, content: bytes
) -> None:
    url = f"{alone.rest}/v1/pools/quotes/pq_test_1/reject"
    # It fits, and goes to a colleague who is not there.
    assert from_response(await http.post(url, content=content, headers=auth(partner))).code == "unavailable"


async def test_more_requests_at_once_than_the_limit_are_refused_as_overloaded(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.rest.IN_FLIGHT_MAX", 0)
    response = await http.get(f"{alone.rest}/v1/pools", headers=auth(partner))
    answer = from_response(response)
    assert (response.status_code, answer.code, answer.retry_after) == (503, "overloaded", 1)
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "currency"),
        ("?currency=XXX", "currency"),
        ("?currency=", "currency"),
        ("?currency=EUR&currency=USD", "currency"),
        ("?currency=EUR&limit=0", "limit"),
        ("?currency=EUR&limit=201", "limit"),
        ("?currency=EUR&limit=x", "limit"),
        ("?currency=EUR&limit=1.5", "limit"),
        ("?currency=EUR&limit=1e1", "limit"),
        ("?currency=EUR&limit=5.0", "limit"),
        ("?currency=EUR&cursor=%00", "cursor"),
        ("?currency=EUR&cursor=a%20b", "cursor"),
        ("?currency=EUR&surprise=1", "surprise"),
        ("?currency=%ff", ""),
    ],
)
async def test_a_query_that_does_not_fit_is_refused_naming_the_field(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, query: str, field: str
) -> None:
    response = await http.get(f"{alone.rest}/v1/pools/ledger{query}", headers=auth(partner))
    answer = from_response(response)
    assert (response.status_code, answer.code, answer.field) == (400, "invalid_request", field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("side=null", "side"),
        ("status=null", "status"),
        ("status=pending", "status"),
        ("created_after=123", "created_after"),
        ("created_after=null", "created_after"),
        ("created_before=2026-11-22T10:00:00", "created_before"),
    ],
)
async def test_a_filter_is_one_of_its_values_and_a_moment_is_rfc_3339(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, query: str, field: str
) -> None:
    response = await http.get(f"{alone.rest}/v1/pools/trades?{query}", headers=auth(partner))
    answer = from_response(response)
    assert (response.status_code, answer.code, answer.field) == (400, "invalid_request", field)


@pytest.mark.parametrize("key", ["", "ä", "a\tb", "k" * 256])
async def test_a_transact_needs_an_idempotency_key_that_can_be_one(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, key: str
) -> None:
    response = await http.post(
        f"{alone.rest}/v1/pools/EUR-USDT/transact",
        json={"quoteId": "pq_test_1"},
        headers=auth(partner) | {"idempotency-key": key.encode("latin-1")},
    )
    assert (response.status_code, from_response(response).code) == (400, "idempotency_key_required")


@pytest.mark.parametrize("path", ["quotes/%00", "quotes/a%20b", "trades/" + "x" * 65, "transactions/%C3%A4"])
async def test_an_id_that_could_not_be_one_is_absent_like_any_other(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner, path: str
) -> None:
    response = await http.get(f"{alone.rest}/v1/pools/{path}", headers=auth(partner))
    assert (response.status_code, from_response(response).code) == (404, "not_found")


async def test_with_the_engine_out_of_reach_a_quote_cannot_be_given_which_is_no_error(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner
) -> None:
    response = await post(alone, http, partner, QUOTE)
    quote = response.json()
    assert response.status_code == 200
    assert (quote["available"], quote["unavailableReason"], quote["quoteId"]) == (False, "engine_unavailable", None)


async def test_a_colleague_out_of_reach_is_503_and_says_to_repeat_with_the_same_key(
    alone: RunningGateway, http: httpx.AsyncClient, partner: Partner
) -> None:
    response = await http.post(
        f"{alone.rest}/v1/pools/EUR-USDT/transact",
        json={"quoteId": "pq_test_1"},
        headers=auth(partner, **{"idempotency-key": "k", "x-request-id": "req-here"}),
    )
    answer = from_response(response)
    assert (response.status_code, answer.code, answer.request_id) == (503, "unavailable", "req-here")
    assert answer.retry_after >= 1
    assert "same idempotency key" in answer.body["message"]
