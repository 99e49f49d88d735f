"""What the OpenAPI document says of parameters: ids in paths, headers, and the fields of queries with their limits."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.api import examples
from gateway.api.operations import Operation

Json = dict[str, Any]

_PATH_PARAMETERS: Final = {
    "id": "The pool.",
    "quoteId": "A firm quote's id, `pq_…`.",
    "transactId": "A trade's id, `pt_…`.",
}


def parameters_of(operation: Operation) -> list[Json]:
    """In paths and headers, and those of its request where that comes in the query."""
    parameters = [_path_parameter(name) for name in re.findall(r"{(\w+)}", operation.path)]
    parameters.append(
        {
            "name": "X-Request-Id",
            "in": "header",
            "description": "Your own id for this request: 1 to 128 of `A-Za-z0-9._-`. Any other is replaced.",
            "schema": {"type": "string"},
            "example": examples.REQUEST_ID,
        }
    )
    if operation.needs_idempotency_key:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "1 to 255 printable characters, one for each order; the same on every repeat.",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "pattern": r"^[!-~]([ -~]*[!-~])?$",
                },
                "example": examples.IDEMPOTENCY_KEY,
            }
        )
    if not operation.takes_body:
        parameters += _query_parameters(operation.request)
    return parameters


def _path_parameter(name: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PATH_PARAMETERS[name],
        "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._-]+$"},
        "example": examples.PATH[name],
    }


def _query_parameters(request: type[msgspec.Struct]) -> list[Json]:
    _, components = msgspec.json.schema_components([request])
    fields = components[request.__name__]
    parameters = []
    for name, schema in fields["properties"].items():
        parameter: Json = {"name": name, "in": "query", "required": name in fields["required"]}
        parameter["description"] = schema.pop("description")
        if schema.get("default", "") in (None, ""):
            schema.pop("default", None)
        # A query has no null: what is not given is left out.
        present = [one for one in schema.pop("anyOf", [{}]) if one != {"type": "null"}]
        parameter["schema"] = {**present[0], **schema}
        if name in examples.QUERY:
            parameter["example"] = examples.QUERY[name]
        parameters.append(parameter)
    return parameters
