"""The OpenAPI document: valid, complete, with examples that are what they show, and true of the views."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from standardwebhooks import Webhook

from gateway.api import examples, shapes
from gateway.api.decoding import decode_fields
from gateway.api.openapi import document, refusals
from gateway.api.operations import Operation
from gateway.domain.deliveries import DELIVERED_TYPES
from poolkit.security import verify_pools_signature
from tests.contract.test_partner_visible_fields import ANSWERS, OPERATIONS

DOCUMENT: Final[dict[str, Any]] = document(OPERATIONS, version="1", documentation_url="/docs/errors")
BY_NAME: Final = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def entry(operation: Operation) -> dict[str, Any]:
    """The operation in the document."""
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.http_method.lower()]
    return found


def test_the_document_is_openapi() -> None:
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()
    assert DOCUMENT["openapi"].startswith("3.1")
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for operation in OPERATIONS for tag in entry(operation)["tags"]} == tags
    assert sum(len(methods) for methods in DOCUMENT["paths"].values()) == len(OPERATIONS)


@BY_NAME
def test_an_operation_names_its_key_headers_and_every_refusal_with_an_example(operation: Operation) -> None:
    made = entry(operation)
    headers = {parameter["name"]: parameter for parameter in made["parameters"] if parameter["in"] == "header"}
    assert ("Idempotency-Key" in headers) == operation.needs_idempotency_key
    assert "X-Request-Id" in headers
    shown = {
        code
        for status, response in made["responses"].items()
        for code in response["content"]["application/json"]["examples"]
        if status != "200"
    }
    assert shown == {reason.reason.code for reason in refusals(operation)}
    for code in shown:
        example = DOCUMENT["components"]["examples"][code]["value"]
        assert msgspec.convert(example, shapes.Error).code == code
        assert code in made["responses"][str(example["statusCode"])]["description"]
        assert example["doc_url"] == f"/docs/errors#{code}"


@BY_NAME
def test_every_example_answer_fits_its_shape_field_by_field(operation: Operation) -> None:
    shown = entry(operation)["responses"]["200"]["content"]["application/json"]["examples"]
    assert shown
    for example in shown.values():
        answer = msgspec.convert(example["value"], operation.described.answer, strict=True)
        assert json.loads(msgspec.json.encode(answer)) == example["value"]
        assert list(json.loads(msgspec.json.encode(answer))) == list(example["value"])


@BY_NAME
def test_every_example_request_is_one_that_is_taken(operation: Operation) -> None:
    made = entry(operation)
    if operation.takes_body:
        for example in made["requestBody"]["content"]["application/json"]["examples"].values():
            assert operation.decoder.decode(json.dumps(example["value"]))
        return
    query = [parameter for parameter in made["parameters"] if parameter["in"] == "query"]
    fields = {parameter["name"]: str(parameter["example"]) for parameter in query if "example" in parameter}
    assert decode_fields(operation, fields)
    assert {parameter["name"] for parameter in query} == set(operation.request.__struct_fields__)


@BY_NAME
def test_a_view_has_the_fields_of_its_shape(operation: Operation) -> None:
    view = json.loads(msgspec.json.encode(operation.view(ANSWERS[operation.name])))
    example = next(iter(examples.ANSWERS[operation.name].values()))
    assert list(view) == list(example)
    for name, value in view.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            assert list(value[0]) == list(example[name][0])


def test_the_webhooks_are_those_that_are_delivered_each_signed_as_it_would_be() -> None:
    assert set(DOCUMENT["webhooks"]) == DELIVERED_TYPES
    for event_type, webhook in DOCUMENT["webhooks"].items():
        body = webhook["post"]["requestBody"]["content"]["application/json"]["examples"]["example"]["value"]
        headers = {parameter["name"]: parameter["example"] for parameter in webhook["post"]["parameters"]}
        assert msgspec.convert(body, shapes.Webhook).type == event_type
        said = webhook["post"]["description"]
        assert examples.WEBHOOK_SECRET in said
        # What a partner has to know to rely on it.
        for promise in ("once", "raw body", "Redirects are not followed", "seven more", "410", "five days"):
            assert promise in said
        raw = msgspec.json.encode(body)
        signed_at = examples.WEBHOOK_TIMESTAMP
        verifier = Webhook(examples.WEBHOOK_SECRET)
        assert (
            verifier.sign(headers["webhook-id"], datetime.fromtimestamp(signed_at, UTC), raw.decode())
            == headers["webhook-signature"]
        )
        verify_pools_signature([examples.WEBHOOK_SECRET], headers["Pools-Signature"], raw, now=signed_at)
