"""What an id looks like, and why one that nobody knows can be none of ours, or one of the other mode.

Source: contract sections 3 and 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from poolkit.ids import PREFIXES

HOLD: Final = "hold"
_MODED: Final = frozenset({"pq", "pt", HOLD})
"""A hold's id is made from its trade's, mode and all."""
_WITHOUT_JOURNEY: Final = frozenset({"org", "key", "whk", "close"})
_TIMED: Final = frozenset(PREFIXES) - {"ledger", "le"}
"""Kinds whose ids carry when they were minted; those of the ledger carry what a provider said."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 26
_AHEAD_MS_MAX: Final = 86_400_000

_SHAPE: Final = re.compile(r"([A-Za-z]+)_(?:(test|live)_)?([0-9A-Za-z]*)")
_SECRET: Final = re.compile(r"(?:[sp]k_(?:test|live)_|whsec_|Bearer )", re.IGNORECASE)
_HEX: Final = re.compile(r"[0-9A-Fa-f]{48,80}")
_EVENT_HEX: Final = re.compile(r"[0-9a-f]{64}")
_CONFUSED: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V"})


class Why(StrEnum):
    """What is wrong with an id, for machines."""

    OTHER_MODE = "other_mode"
    MISTYPED = "mistyped"
    NOT_SEARCHABLE = "not_searchable"
    SECRET = "secret"  # noqa: S105 - a word


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an id cannot be one that this deployment knows."""

    why: Why
    sentence: str


def is_secret(text: str) -> bool:
    """Whether it is a key or a webhook secret, which is no id, and must be neither searched for nor written down."""
    return _SECRET.match(text.strip()) is not None


def masked(secret: str) -> str:
    """What may be written down of it."""
    found = _SECRET.match(secret.strip())
    return f"{found.group()}…" if found else "…"


def is_minted(text: str) -> bool:
    """Whether it has the whole shape of an id that one of our services mints, so that it is of one journey alone."""
    if _EVENT_HEX.fullmatch(text):
        return True
    shape = _SHAPE.fullmatch(text)
    return shape is not None and shape[1] in PREFIXES and _body_fault(shape[1], shape[3]) == ""


def fault_of(text: str, *, mode: str, now_ms: int) -> Fault | None:
    """What is wrong with an id nobody knows. None where it may be an id, or what a partner or provider made up."""
    if _HEX.fullmatch(text):
        return _fault_of_hex(text)
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return None
    prefix, marker, body = shape.groups()
    if prefix not in PREFIXES:
        return _fault_of_prefix(prefix, marker, body)
    kind = PREFIXES[prefix]
    if fault := _body_fault(prefix, body):
        return Fault(Why.MISTYPED, f"`{text}` is no {kind}'s id: {fault}. Copy it once more, whole.")
    if prefix in _TIMED and _milliseconds(body) > now_ms + _AHEAD_MS_MAX:
        return Fault(
            Why.MISTYPED,
            f"`{text}` is no {kind}'s id: its first characters are the time it was minted, and that is still to come. "
            "Copy it once more.",
        )
    if prefix in _WITHOUT_JOURNEY:
        return Fault(
            Why.NOT_SEARCHABLE,
            f"`{text}` names one {kind}, which has no journey of its own. Search for what it did: a trade, a quote, a "
            "request or a client reference.",
        )
    return _fault_of_mode(text, prefix, marker or "", mode)


def _fault_of_mode(text: str, prefix: str, marker: str, mode: str) -> Fault | None:
    kind = PREFIXES[prefix]
    if prefix not in _MODED:
        if not marker:
            return None
        return Fault(
            Why.MISTYPED, f"`{text}` is no {kind}'s id: those are the same in both modes, without `{marker}_`."
        )
    if marker == "live":
        return Fault(Why.MISTYPED, f"`{text}` is no {kind}'s id: those of live mode carry no `live_`.")
    other = "test" if marker else "live"
    if other == mode:
        return None
    return Fault(
        Why.OTHER_MODE,
        f"`{text}` is a {kind}'s id of {other} mode, and this deployment keeps {mode} mode alone. "
        f"Ask the deployment of {other} mode.",
    )


def _fault_of_hex(text: str) -> Fault | None:
    if _EVENT_HEX.fullmatch(text):
        return None
    wrong = f"this one has {len(text)}" if len(text) != 64 else "this one has capitals"
    return Fault(
        Why.MISTYPED,
        f"`{text}` is no event's id: those are 64 hexadecimal digits in lower case, and {wrong}. "
        "Copy it once more, whole.",
    )


def _fault_of_prefix(prefix: str, marker: str | None, body: str) -> Fault | None:
    """Partners make up references of any shape, so only what comes close to an id of ours is called mistyped."""
    close = get_close_matches(prefix.lower(), PREFIXES, n=1, cutoff=0.6)
    looks_minted = _LENGTH - 2 <= len(body) <= _LENGTH + 2 and body[:1].isdecimal()
    if not looks_minted or not (marker or close):
        return None
    meant = f" Was `{close[0]}_` meant?" if close else ""
    known = ", ".join(f"`{one}_`" for one in PREFIXES if one not in _WITHOUT_JOURNEY)
    return Fault(Why.MISTYPED, f"no id of ours begins with `{prefix}_`.{meant} They begin with {known}.")


def _body_fault(prefix: str, body: str) -> str:
    """What is wrong with what follows the prefix; empty where nothing is."""
    length = _LENGTH + 1 if prefix == "le" else _LENGTH
    if len(body) != length:
        return f"{length} characters follow its prefix, and this one has {len(body)}"
    ulid = body[:_LENGTH]
    strange = "".join(sorted({letter for letter in ulid if letter not in _ALPHABET}))
    if strange:
        return f"{strange} is not among its characters; `{ulid.upper().translate(_CONFUSED)}` might be meant"
    if prefix == "le" and not (body[-1].isdecimal() and body[-1].isascii()):
        return "it ends in the number of the leg, one digit"
    return "its first character is 7 at most" if prefix in _TIMED and ulid[0] > "7" else ""


def _milliseconds(body: str) -> int:
    number = 0
    for letter in body[:10]:
        number = number * 32 + _ALPHABET.index(letter)
    return number
