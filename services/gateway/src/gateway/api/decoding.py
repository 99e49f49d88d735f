"""Requests into the structs of the operations, and what does not fit into refusals that name the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from gateway.api.operations import Operation
from poolkit.errors import InvalidRequest

FIELD_LENGTH_MAX: Final = 100
MESSAGE_LENGTH_MAX: Final = 300

_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NAME = re.compile(r"(?:unknown|required) field `(.*)`", re.DOTALL)
# What the messages call by another name than JSON does.
_NAMES: Final = {
    "cursor": "page_token",
    "limit": "page_size",
    "amountCurrency": "amount.currency",
    "created_after": "created_after_time",
    "created_before": "created_before_time",
}


def decode_body(operation: Operation, body: bytes) -> Any:
    """The operation's request from a JSON body. Raises InvalidRequest."""
    try:
        return operation.decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _unfit(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not one JSON object in UTF-8; send it as the reference shows.") from None


def refuse_query(fields: Mapping[str, object]) -> None:
    """For operations whose request is a body: nothing in the query is theirs. Raises InvalidRequest."""
    for name in fields:
        raise InvalidRequest(
            "it is nothing that this query may have; send fields in the body.", field=name[:FIELD_LENGTH_MAX]
        )


def decode_fields(operation: Operation, fields: Mapping[str, object]) -> Any:
    """The operation's request from named values. Raises InvalidRequest.

    In a query all are texts. Numbers are read here, since msgspec would also take `null` for a name, `1e1` for a number
    and `123` for a moment.
    """
    if not fields:
        return _of_nothing(operation.request)
    return _read(operation.request, fields)


@cache
def _of_nothing(request: type[msgspec.Struct]) -> Any:
    # They are frozen, so that one serves all; where something is required it is refused each time anew.
    return _read(request, {})


def _read(request: type[msgspec.Struct], fields: Mapping[str, object]) -> Any:
    numbers = _numbers(request)
    read = {
        name: int(value) if name in numbers and isinstance(value, str) and _NUMBER.fullmatch(value) else value
        for name, value in fields.items()
    }
    try:
        return msgspec.convert(read, request)
    except msgspec.ValidationError as error:
        raise _unfit(error) from None


@cache
def _numbers(request: type[msgspec.Struct]) -> frozenset[str]:
    info = msgspec.inspect.type_info(request)
    assert isinstance(info, msgspec.inspect.StructType)
    return frozenset(field.encode_name for field in info.fields if _is_number(field.type))


def _is_number(kind: msgspec.inspect.Type) -> bool:
    # What has a description is wrapped in it.
    return isinstance(kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind, msgspec.inspect.IntType)


def _unfit(error: msgspec.ValidationError) -> InvalidRequest:
    text = str(error)
    path, name = _PATH.search(text), _NAME.search(text)
    field = ".".join(found[1] for found in (path, name) if found is not None and found[1])
    message = _PATH.sub("", text)[:MESSAGE_LENGTH_MAX]
    return InvalidRequest(f"{message}. Correct it and send the request again.", field=field[:FIELD_LENGTH_MAX])


def spelled_in_snake_case(error: InvalidRequest) -> InvalidRequest:
    """The same error with its field as the messages of the contract spell it; within, fields are camelCase."""
    if not error.field:
        return error
    name = _NAMES.get(error.field, error.field)
    spelled = re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)
    return InvalidRequest(error.message.removeprefix(f"{error.field}: "), field=spelled)
