"""The reference: open to everyone, without the internet, and its examples do what they say when they are sent."""

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
import jsonschema_rs
import pytest

from gateway.api import examples
from gateway.api.reference import DOCS_PATH, ERRORS_PATH, OPENAPI_PATH
from poolkit.errors import CATALOGUE
from tests.integration.gateway.calls import from_response
from tests.integration.gateway.house import RunningGateway
from tests.integration.gateway.neighbours import House

PAGES: Final = (OPENAPI_PATH, DOCS_PATH, ERRORS_PATH)
# As a partner would call: the pools, a price and its trade, what became of it, and a quote given back.
STORY: Final = (
    ("listPools", 200), ("getCapabilities", 200), ("getFunding", 200), ("getBalance", 200), ("createQuote", 200),
    ("getQuote", 200), ("getTransaction", 404), ("transact", 200), ("transact", 200), ("getTransaction", 200),
    ("getTrade", 200), ("listTrades", 200), ("listLedgerEntries", 200), ("rejectQuote", 409),
    ("createQuote", 200), ("rejectQuote", 200), ("rejectQuote", 409),
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_key_and_lets_in_nothing_from_elsewhere(
    alone: RunningGateway, http: httpx.AsyncClient, path: str
) -> None:
    response = await http.get(alone.rest + path)
    assert response.status_code == 200
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE", "OPTIONS"])
async def test_a_page_has_no_other_method(
    alone: RunningGateway, http: httpx.AsyncClient, path: str, method: str
) -> None:
    response = await http.request(method, alone.rest + path)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", [DOCS_PATH, ERRORS_PATH])
async def test_all_that_a_page_loads_comes_from_the_gateway_itself(
    alone: RunningGateway, http: httpx.AsyncClient, path: str
) -> None:
    page = (await http.get(alone.rest + path)).text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded
    assert [link for link in loaded if not link.startswith("/")] == []
    assert "<style" not in page
    assert re.findall(r"<script(?! src=)", page) == []
    for link in loaded:
        answer = await http.get(alone.rest + link)
        assert (answer.status_code, bool(answer.content)) == (200, True)


async def test_an_error_leads_to_its_own_explanation(alone: RunningGateway, http: httpx.AsyncClient) -> None:
    refused = (await http.get(f"{alone.rest}/v1/pools")).json()
    url = httpx.URL(f"{alone.rest}/v1/pools").join(refused["doc_url"])
    assert url.fragment == refused["code"] == "unauthorized"
    page = (await http.get(url)).text
    assert re.findall(r'<h2 id="(\w+)">', page) == list(CATALOGUE)


async def test_the_examples_do_what_they_say(house: House) -> None:
    partner = await house.onboard(money="1000.00")
    document = (await house.http.get(house.gateway.rest + OPENAPI_PATH)).json()
    headers = {"authorization": f"Bearer {partner.secret_key}"}
    ids: dict[str, str] = {}
    keys = 0
    for operation_id, status in STORY:
        if operation_id == "createQuote":
            ids, keys = {}, keys + 1
        request = request_of(document, operation_id, ids)
        if "Idempotency-Key" in request["headers"]:
            request["headers"]["Idempotency-Key"] += f"_{partner.organization_id}_{keys}"
        response = await house.http.request(
            request["method"], house.gateway.rest + request["path"], params=request["query"], json=request["body"],
            headers={**headers, **request["headers"]},
        )  # fmt: skip
        assert response.status_code == status, (operation_id, response.text)
        from_response(response)
        check(document, request["responses"], response)
        if status == 200:
            ids |= {example: response.json()[name] for name, example in example_ids(response.json()).items()}
            if operation_id in ("createQuote", "transact"):
                assert fixed(response.json()) == fixed(example_answer(request))


def request_of(document: Mapping[str, Any], operation_id: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """The operation's example as one would send it, with real ids where the example's stand."""
    path, method, operation = next(
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] == operation_id
    )
    given: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for parameter in operation["parameters"]:
        if "example" in parameter:
            given[parameter["in"]][parameter["name"]] = parameter["example"]
    for name, example in given["path"].items():
        path = path.replace(f"{{{name}}}", ids.get(example, example))
    body = None
    if "requestBody" in operation:
        body = dict(operation["requestBody"]["content"]["application/json"]["examples"]["example"]["value"])
        body = {name: ids.get(value, value) for name, value in body.items()}
    return {
        "method": method.upper(),
        "path": path,
        "query": given["query"],
        "headers": given["header"],
        "body": body,
        "responses": operation["responses"],
    }


def check(document: Mapping[str, Any], responses: Mapping[str, Any], response: httpx.Response) -> None:
    """Holds an answer against what the document says of its status: schema, and every field named."""
    described = responses[str(response.status_code)]["content"][response.headers["content-type"]]
    schema = {**described["schema"], "components": document["components"]}
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(response.json())
    name = described["schema"]["$ref"].rpartition("/")[2]
    assert list(response.json()) == list(document["components"]["schemas"][name]["properties"])


def example_ids(answer: Mapping[str, Any]) -> dict[str, str]:
    """The example's ids that an answer has real ones for."""
    return {name: examples.PATH[name] for name in ("quoteId", "transactId") if answer.get(name)}


def example_answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The first example of a success."""
    shown = request["responses"]["200"]["content"]["application/json"]["examples"]
    answer: dict[str, Any] = next(iter(shown.values()))["value"]
    return answer


def fixed(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without what is new each time."""
    changing = ("quoteId", "transactId", "requestId", "createdAt", "expiresAt", "updatedAt")
    return {name: value for name, value in answer.items() if name not in changing}
