"""The OpenAPI 3.1 document of the partner API, built from the table of operations and the structs it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.api import examples, shapes
from gateway.api.described import ANY_OPERATION
from gateway.api.operations import Operation
from gateway.api.parameters import parameters_of
from poolkit.errors import DomainError, SecretKeyRequired

Json = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/"
RETRIED_STATUSES: Final = frozenset({"409", "429", "503"})
"""Those that may come with `Retry-After`."""

INTRODUCTION: Final = """\
Prices and trades between currencies and stablecoins, for servers of partners.

**Keys.** `Authorization: Bearer sk_…` on every call. A secret key never belongs into a browser; publishable keys
(`pk_…`) may only list pools. A key works in one mode, test or live.

**Values.** Amounts and rates are decimal strings, times are RFC 3339 in UTC, absent values are `null`. Fields that a
request does not know are refused; expect fields and error codes that you do not know yet.

**Bodies.** JSON in UTF-8, up to 64 KiB, read as such whatever `Content-Type` says; anything else is a 400.

**Errors.** One shape for all; branch on `code`. Every response carries `X-Request-Id`, yours where you sent one.

**Repeating.** GET is always safe to repeat. `transact` takes an `Idempotency-Key`: send the same request with the same
key until it is answered. `Retry-After` says when.

The same operations are served over gRPC as `pools.gateway.v1.PartnerService`.
"""
_QUOTE_ID: Final = {"quoteId": "$response.body#/quoteId"}
_TRANSACT_ID: Final = {"transactId": "$response.body#/transactId"}
_FOLLOWED_BY: Final[dict[str, dict[str, Json]]] = {
    "create_quote": {
        "transact": {"parameters": {"id": "$response.body#/poolId"}, "requestBody": _QUOTE_ID},
        "getQuote": {"parameters": _QUOTE_ID},
        "getTransaction": {"parameters": _QUOTE_ID},
        "rejectQuote": {"parameters": _QUOTE_ID},
    },
    "transact": {"getTrade": {"parameters": _TRANSACT_ID}, "getTransaction": {"parameters": _QUOTE_ID}},
}
"""Where an answer's ids may be taken, by operation."""
_WEBHOOK_SUMMARIES: Final = {
    "pool.transaction.settled": "A trade is settled",
    "pool.transaction.failed": "A trade has failed: what it held is yours again",
    "pool.transaction.released": "A trade was released: what it held is yours again",
}
_WEBHOOK_HEADERS: Final = {
    "webhook-id": "The `eventId`: the same however often it is sent.",
    "webhook-timestamp": "Unix seconds of this attempt; refuse what is older than 300 s.",
    "webhook-signature": "Standard Webhooks: `v1,<base64>`, several with spaces while a secret is rotated.",
    "Pools-Signature": (
        "The same in another scheme: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "
        '"t.body">`, keyed with the whole secret; several `v1` while a secret is rotated.'
    ),
    "X-Request-Id": "The request that reserved the trade.",
}


def document(operations: Sequence[Operation], *, version: str, documentation_url: str) -> Json:
    """The whole document. `documentation_url` is where error codes are explained."""
    requests = [operation.request for operation in operations if operation.takes_body]
    answers = [operation.described.answer for operation in operations]
    _, schemas = msgspec.json.schema_components(
        [*requests, *answers, shapes.Error, shapes.Webhook], ref_template=SCHEMAS + "{name}"
    )
    reasons = _reasons(operations)
    paths: Json = {}
    for operation in sorted(operations, key=lambda operation: operation.path):
        paths.setdefault(operation.path, {})[operation.http_method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "0Pools partner API", "version": version, "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in ("Pools", "Quotes", "Trades", "Money")],
        "paths": paths,
        "webhooks": {event_type: {"post": _webhook(event_type)} for event_type in examples.WEBHOOK_TRADES},
        "components": {
            "schemas": schemas,
            "headers": _headers(),
            "examples": {
                reason.reason.code: {
                    "summary": reason.reason.sentence,
                    "value": examples.refusal(reason, documentation_url),
                }
                for reason in reasons
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "sk_test_… or sk_live_…",
                    "description": "Your secret key, or for listing pools a publishable one.",
                }
            },
        },
    }


def refusals(operation: Operation) -> list[type[DomainError]]:
    """Every reason the operation may answer: what holds for all, and its own."""
    return [
        reason
        for reason in (*ANY_OPERATION, *operation.described.own_refusals)
        if not (operation.publishable_may and reason is SecretKeyRequired)
    ]


def operation_id(operation: Operation) -> str:
    """Its name in camelCase, for the code that is made from the document."""
    return re.sub(r"_(\w)", lambda found: found[1].upper(), operation.name)


def _reasons(operations: Iterable[Operation]) -> list[type[DomainError]]:
    return list(dict.fromkeys(reason for operation in operations for reason in refusals(operation)))


def _operation(operation: Operation) -> Json:
    described = operation.described
    made: Json = {
        "operationId": operation_id(operation),
        "tags": [described.tag],
        "summary": described.summary,
        "description": described.description,
        "parameters": parameters_of(operation),
        "responses": {"200": _success(operation), **_failures(refusals(operation))},
    }
    if operation.takes_body:
        body = {
            "schema": _reference(operation.request),
            "examples": {"example": {"value": examples.BODIES[operation.name]}},
        }
        made["requestBody"] = {"required": True, "content": {"application/json": body}}
    return made


def _success(operation: Operation) -> Json:
    replayed = ["Idempotent-Replayed"] if operation.needs_idempotency_key else []
    given = {name: {"value": value} for name, value in examples.ANSWERS[operation.name].items()}
    answer = operation.described.answer
    made = {
        "description": (answer.__doc__ or "").strip(),
        "headers": _header_references(replayed),
        "content": {"application/json": {"schema": _reference(answer), "examples": given}},
    }
    if operation.name in _FOLLOWED_BY:
        made["links"] = {name: {"operationId": name, **given} for name, given in _FOLLOWED_BY[operation.name].items()}
    return made


def _failures(reasons: Iterable[type[DomainError]]) -> Json:
    by_status: dict[str, list[str]] = {}
    for reason in reasons:
        by_status.setdefault(str(reason.reason.http_status), []).append(reason.reason.code)
    failures: Json = {}
    for status, codes in sorted(by_status.items()):
        failures[status] = {
            "description": " or ".join(f"`{code}`" for code in codes),
            "headers": _header_references(["Retry-After"] if status in RETRIED_STATUSES else []),
            "content": {
                "application/json": {
                    "schema": _reference(shapes.Error),
                    "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
                }
            },
        }
    return failures


def _header_references(own: Iterable[str]) -> Json:
    names = ("X-Request-Id", *own, "RateLimit-Policy", "RateLimit")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _headers() -> Json:
    text = {"type": "string"}
    return {
        "X-Request-Id": {
            "description": "The id of this request, yours or a new one.",
            "required": True,
            "schema": text,
            "example": examples.REQUEST_ID,
        },
        "RateLimit-Policy": {
            "description": "Your quotas `q` of calls and their windows `w` in seconds; absent where none was counted.",
            "schema": text,
            "example": '"key";q=1000;w=2, "organization";q=2000;w=2',
        },
        "RateLimit": {
            "description": "How many calls `r` may still follow within `t` seconds; absent where none was counted.",
            "schema": text,
            "example": '"key";r=999;t=1, "organization";r=1999;t=1',
        },
        "Retry-After": {
            "description": "Seconds after which to try again.",
            "schema": {"type": "integer", "minimum": 1},
            "example": 1,
        },
        "Idempotent-Replayed": {
            "description": "`true` where the answer is that of an earlier request.",
            "schema": {"type": "string", "enum": ["true"]},
            "example": "true",
        },
    }


def _webhook(event_type: str) -> Json:
    signed = examples.webhook_headers(event_type)
    return {
        "operationId": re.sub(r"\W(\w)", lambda found: found[1].upper(), event_type),
        "summary": _WEBHOOK_SUMMARIES[event_type],
        "description": (
            "Posted to each of your endpoints until one attempt is answered with 2xx, so take each `eventId` once. "
            "Verify one of the two signatures over the raw body before you read it. "
            "Redirects are not followed. Where an attempt fails there are seven more with growing pauses, over most of "
            "a day in live mode and a minute in test mode; then it is sent again only when you ask us. An endpoint "
            "that answers 410, or nothing but failures for five days, is disabled; for a disabled endpoint webhooks "
            "wait five days until it is enabled again. "
            "What you missed, and what was returned later, is in your list of trades. The "
            f"example is signed with the secret `{examples.WEBHOOK_SECRET}`; its body is the example as compact JSON."
        ),
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
                "example": signed[name],
            }
            for name, text in _WEBHOOK_HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _reference(shapes.Webhook),
                    "examples": {"example": {"value": examples.webhook(event_type)}},
                }
            },
        },
        "responses": {
            "2XX": {"description": "Taken; it is not sent again."},
            "default": {"description": "Not taken, like no answer within 10 s; it is sent again later."},
        },
    }


def _reference(shape: type[msgspec.Struct]) -> Json:
    return {"$ref": f"{SCHEMAS}{shape.__name__}"}
