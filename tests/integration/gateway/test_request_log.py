"""The request log: one durable row for every call, refused ones included, and none lost when the service drains."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest
from prometheus_client import REGISTRY

from poolkit.database import Database, Record
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


async def test_unknown_paths_and_methods_leave_rows_too(alone: RunningGateway, http: httpx.AsyncClient) -> None:
    for method, path, outcome in (("GET", "/nowhere", "not_found"), ("PUT", "/v1/pools", "method_not_allowed")):
        response = await http.request(method, alone.rest + path)
        [row] = await rows_of(alone.database, response.headers["x-request-id"], 1)
        assert (row["operation"], row["outcome"], row["http_status"]) == ("", outcome, response.status_code)


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
