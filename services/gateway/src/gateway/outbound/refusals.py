"""Colleagues' refusals as this service raises them: a field that one names is spelled as partners' JSON spells it."""

import re
from typing import Final

from poolkit.errors import DomainError, InvalidRequest
from poolkit.rpc.convert import error_from_refusal
from pools.types.v1 import types_pb2

# What partners send under another name.
_NAMES: Final = {"page_token": "cursor", "page_size": "limit"}


def refused(refusal: types_pb2.Refusal) -> DomainError:
    """The reason of one item of a batch."""
    return as_partners_spell(error_from_refusal(refusal))


def as_partners_spell(error: DomainError) -> DomainError:
    """The same error, its field in camelCase where it names one."""
    if not isinstance(error, InvalidRequest) or not error.field:
        return error
    name = _NAMES.get(error.field, error.field)
    spelled = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
    return InvalidRequest(error.message.removeprefix(f"{error.field}: "), field=spelled)
