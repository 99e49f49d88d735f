"""Owns what a person may say about a pay-in that nobody could be credited with."""

import re
from dataclasses import dataclass
from typing import Final

from poolkit.errors import InvalidRequest

PERSON_LENGTH_MAX: Final = 128
REASON_LENGTH_MAX: Final = 500
_ID_LENGTH_MAX: Final = 256
# The reserved organizations have no such id: money is never allocated to ourselves, or back to suspense.
_ORGANIZATION: Final = re.compile(r"org_[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Allocation:
    """Whose a pay-in is, who says so, and why."""

    payin_id: str
    """Any id of the pay-in."""
    organization_id: str
    allocated_by: str
    reason: str


def new_allocation(payin_id: str, organization_id: str, allocated_by: str, reason: str) -> Allocation:
    """Raises InvalidRequest, naming the field."""
    if not payin_id or len(payin_id) > _ID_LENGTH_MAX or "\x00" in payin_id:
        raise InvalidRequest("name the pay-in.", field="payin_id")
    if not _ORGANIZATION.fullmatch(organization_id):
        raise InvalidRequest(f"{organization_id!r} is not the id of a partner, org_….", field="organization_id")
    return Allocation(
        payin_id,
        organization_id,
        _words(allocated_by, "allocated_by", PERSON_LENGTH_MAX),
        _words(reason, "allocation_reason", REASON_LENGTH_MAX),
    )


def _words(text: str, field: str, length_max: int) -> str:
    if not 1 <= len(text.strip()) <= length_max or "\x00" in text:
        raise InvalidRequest(f"say it in 1 to {length_max} characters.", field=field)
    return text.strip()
