"""The request log: one durable row for every call, refused ones included, and none lost when the service drains."""

import asyncio
import json
from contextlib import AsyncExitStack

import httpx
import pytest
from prometheus_client import REGISTRY

from poolkit.database import Database, Record
from poolkit.errors import MethodNotAllowed
from poolkit.security import new_api_key
from poolkit.telemetry.traceparent import is_valid
from tests.integration.databases import RunningPostgres
from tests.integration.gateway.calls import EDGES, Caller
from tests.integration.gateway.house import RunningGateway, start_gateway
from tests.waiting import eventually


def security_events() -> float:
    """How often a secret key came from a browser, as Prometheus reads it."""
    value = REGISTRY.get_sample_value("pools_security_events_total", {"event": "secret_key_in_browser"})
    assert value is not None, "it is there before the first one happens"
    return value


async def rows_of(database: Database, request_id: str, count: int) -> list[Record]:
    """The rows of a request, once they are there."""
    found: list[Record] = []

    async def there() -> bool:
        found[:] = await database.fetch("SELECT * FROM request_log WHERE request_id = $1", request_id)
        return len(found) >= count

    await eventually(there, f"{count} rows of {request_id}", seconds=5)
    return found


@pytest.mark.parametrize("edge", EDGES)
async def test_a_refused_transact_leaves_a_row_with_every_id_it_brought(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    partner = await alone.new_partner()
    answer = await Caller(alone, http, edge, partner.secret_key).transact("pq_test_logged", "key 1")
    [row] = await rows_of(alone.database, answer.request_id, 1)
    assert (row["edge"], row["operation"], row["outcome"], row["http_status"]) == (edge, "transact", "unavailable", 503)
    assert (row["organization_id"], row["key_label"]) == (partner.organization_id, "secret key")
    assert (row["idempotency_key"], row["quote_id"], row["trade_id"]) == ("key 1", "pq_test_logged", None)
    assert row["duration_us"] > 0
    assert row["started_at"] < row["created_at"]
    assert is_valid(row["traceparent"])


@pytest.mark.parametrize("edge", EDGES)
async def test_a_call_without_a_key_leaves_a_row_too(alone: RunningGateway, http: httpx.AsyncClient, edge: str) -> None:
    answer = await Caller(alone, http, edge, "").get_quote("pq_test_1")
    [row] = await rows_of(alone.database, answer.request_id, 1)
    assert (row["operation"], row["outcome"], row["http_status"]) == ("get_quote", "unauthorized", 401)
    assert (row["organization_id"], row["key_id"], row["key_label"]) == (None, None, None)


REFUSED = {
    "an unknown path": ("GET", "/nowhere", {}, b"", "", "not_found", 404),
    "a method that the path does not have": ("PUT", "/v1/pools", {}, b"", "", "method_not_allowed", 405),
    "a method that a page does not have": ("POST", "/openapi.json", {}, b"", "", "method_not_allowed", 405),
    "a preflight": ("OPTIONS", "/v1/pools", {"origin": "https://shop.example"}, b"", "preflight", "ok", 204),
    "a preflight of what no browser may call": ("OPTIONS", "/v1/pools/ledger", {}, b"", "", "method_not_allowed", 405),
    "too many headers": ("GET", "/v1/pools", {f"x-{n}": "y" for n in range(101)}, b"", "", "headers_too_large", 431),
    "a header that is too long": ("GET", "/v1/pools", {"x": "y" * 33_000}, b"", "", "headers_too_large", 431),
    "a path that is too long": ("GET", "/v1/pools/" + "x" * 1024, {}, b"", "", "invalid_request", 400),
    "a query that is too long": ("GET", "/v1/pools?" + "x" * 4097, {}, b"", "", "invalid_request", 400),
    "no key": ("GET", "/v1/pools", {}, b"", "list_pools", "unauthorized", 401),
    "a body that is too large": (
        "POST", "/v1/pools/EUR-USDT/quote", {"authorization": "SECRET"}, b" " * 65_537, "create_quote",
        "request_too_large", 413,
    ),
    "a body that is none": (
        "POST", "/v1/pools/EUR-USDT/quote", {"authorization": "SECRET"}, b"{", "create_quote", "invalid_request", 400,
    ),
    "a key that may not": (
        "POST", "/v1/pools/EUR-USDT/quote", {"authorization": "PUBLIC"}, b"{}", "create_quote",
        "secret_key_required", 403,
    ),
    "a query that does not fit": (
        "GET", "/v1/pools/ledger", {"authorization": "SECRET"}, b"", "list_ledger_entries", "invalid_request", 400,
    ),
    "an id that could be none": (
        "GET", "/v1/pools/trades/%00", {"authorization": "SECRET"}, b"", "get_trade", "not_found", 404,
    ),
}  # fmt: skip


async def test_every_request_that_is_refused_leaves_a_row(alone: RunningGateway, http: httpx.AsyncClient) -> None:
    partner = await alone.new_partner()
    keys = {"SECRET": f"Bearer {partner.secret_key}", "PUBLIC": f"Bearer {partner.publishable_key}"}
    request_ids: dict[str, str] = {}
    for what, (method, path, headers, body, _, _, http_status) in REFUSED.items():
        sent = {name: keys.get(value, value) for name, value in headers.items()}
        response = await http.request(method, alone.rest + path, headers=sent, content=body)
        assert response.status_code == http_status, what
        request_ids[what] = response.headers["x-request-id"]
    for what, (_, _, headers, _, *expected) in REFUSED.items():
        [row] = await rows_of(alone.database, request_ids[what], 1)
        assert [row["operation"], row["outcome"], row["http_status"]] == expected, what
        assert row["edge"] == "rest"
        assert row["organization_id"] == (partner.organization_id if "authorization" in headers else None), what


QUOTE = b"POST /v1/pools/EUR-USDT/quote HTTP/1.1\r\nauthorization: Bearer KEY\r\n"


@pytest.mark.parametrize(
    ("sent", "operation"),
    [
        (b"nonsense\r\n\r\n", ""),
        (QUOTE + b"content-length: -1\r\n\r\n", ""),
        (QUOTE + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nnonsense\r\n", "create_quote"),
    ],
)
async def test_what_cannot_be_read_is_answered_like_an_error_and_leaves_a_row(
    alone: RunningGateway, sent: bytes, operation: str
) -> None:
    sent = sent.replace(b"KEY", (await alone.new_partner()).secret_key.encode())
    outcome = "invalid_request"
    reader, writer = await asyncio.open_connection(*alone.rest.removeprefix("http://").split(":"))
    writer.write(sent)
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    error = json.loads(body)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert (error["code"], error["doc_url"]) == (outcome, f"{alone.runtime.settings.documentation_url}#{outcome}")
    [row] = await rows_of(alone.database, error["request_id"], 1)
    assert (row["edge"], row["operation"], row["outcome"], row["http_status"]) == ("rest", operation, outcome, 400)


@pytest.mark.parametrize(
    ("limit", "value", "outcome"), [("in_flight_max", 0, "overloaded"), ("stopping", True, "unavailable")]
)
async def test_a_call_that_the_server_turns_away_leaves_a_row(
    alone: RunningGateway,
    http: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: object,
    outcome: str,
) -> None:
    [server] = [server for server in alone.runtime._rpc_servers if server.name == "partner"]
    monkeypatch.setattr(server._load, limit, value)
    answer = await Caller(alone, http, "grpc", "").get_quote("pq_test_1")
    assert (answer.code, answer.retry_after) == (outcome, 1)
    [row] = await rows_of(alone.database, answer.request_id, 1)
    assert (row["edge"], row["operation"], row["outcome"], row["http_status"]) == ("grpc", "get_quote", outcome, 503)


@pytest.mark.parametrize("path", ["/pools.gateway.v1.PartnerService/GiveMoney", "/other.Service/Method"])
async def test_a_method_that_does_not_exist_leaves_a_row_and_says_so_as_errors_do(
    alone: RunningGateway, path: str
) -> None:
    multi = alone.partner.channel.unary_unary(path)
    request_id = f"unknown-method-{len(path)}"
    with pytest.raises(MethodNotAllowed):
        await multi(b"anything", metadata=(("x-request-id", request_id),), timeout=5)
    [row] = await rows_of(alone.database, request_id, 1)
    assert (row["edge"], row["operation"], row["outcome"], row["http_status"]) == (
        "grpc",
        "",
        "method_not_allowed",
        405,
    )


@pytest.mark.parametrize("edge", EDGES)
async def test_a_secret_key_from_a_browser_is_counted_and_on_record_with_the_key_to_revoke(
    alone: RunningGateway, http: httpx.AsyncClient, edge: str
) -> None:
    partner = await alone.new_partner()
    before = security_events()
    answer = await Caller(alone, http, edge, partner.secret_key).list_pools(origin="https://shop.example")
    assert security_events() == before + 1
    [row] = await rows_of(alone.database, answer.request_id, 1)
    assert (row["outcome"], row["http_status"], row["edge"]) == ("secret_key_in_browser", 403, edge)
    assert (row["organization_id"], row["key_label"]) == (partner.organization_id, "secret key")
    assert row["key_id"].startswith("key_")


async def test_a_key_in_a_browser_that_is_nobodys_is_no_security_event(
    alone: RunningGateway, http: httpx.AsyncClient
) -> None:
    partner = await alone.new_partner()
    before = security_events()
    for key in (new_api_key("sk", "test"), new_api_key("sk", "live"), partner.publishable_key):
        await Caller(alone, http, "rest", key).list_pools(origin="https://shop.example")
    assert security_events() == before


async def test_no_row_holds_a_key(alone: RunningGateway, http: httpx.AsyncClient) -> None:
    partner = await alone.new_partner()
    answer = await Caller(alone, http, "rest", partner.secret_key).transact("pq_test_1", "k")
    [row] = await rows_of(alone.database, answer.request_id, 1)
    assert partner.secret_key not in str(dict(row))
    stored = await alone.database.fetch("SELECT * FROM api_keys WHERE organization_id = $1", partner.organization_id)
    assert partner.secret_key[-12:] not in str([dict(key) for key in stored])


async def test_repeated_request_ids_each_have_their_row(alone: RunningGateway, http: httpx.AsyncClient) -> None:
    caller = Caller(alone, http, "rest", (await alone.new_partner()).publishable_key)
    headers = {"x-request-id": "the-same-again"}
    await asyncio.gather(*(caller.call("GET", "/v1/pools/ledger", "", None, headers=headers) for _ in range(20)))  # type: ignore[arg-type]
    assert len(await rows_of(alone.database, "the-same-again", 20)) == 20


async def test_what_was_answered_before_a_drain_is_on_record_after_it(
    postgres: RunningPostgres, http: httpx.AsyncClient
) -> None:
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(stack, postgres)
        admin = Database(
            postgres.admin_url(gateway.runtime.settings.database_url.get_secret_value()), application_name="test"
        )
        caller = Caller(gateway, http, "rest", (await gateway.new_partner()).publishable_key)
        answers = await asyncio.gather(*(caller.ledger() for _ in range(200)))
    stored = {row["request_id"] for row in await admin.fetch("SELECT request_id FROM request_log")}
    await admin.close()
    assert stored == {answer.request_id for answer in answers}
