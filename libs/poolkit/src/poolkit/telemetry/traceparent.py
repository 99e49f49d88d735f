"""W3C trace context as text: what a valid `traceparent` is, and how a new one is minted."""

import random
import re

# Version 00 only, and neither id all zeros: anything else starts a new trace.
_VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_SAMPLED = frozenset("13579bdf")
# Ids need to be unique, not secret; the system's generator would cost a system call for each.
_bits = random.Random().getrandbits  # noqa: S311
# The last bit of either id: one of zeros alone would be none.
_NOT_ZERO = 1 << 64 | 1


def is_valid(traceparent: str) -> bool:
    """Whether the text is a version 00 `traceparent`."""
    return _VALID(traceparent) is not None


def is_sampled(traceparent: str) -> bool:
    """Whether the sampled flag of a valid `traceparent` is set."""
    return traceparent[-1:] in _SAMPLED


def new_traceparent() -> str:
    """A new trace that nobody records: random ids, sampled flag off."""
    text = f"{_bits(192) | _NOT_ZERO:048x}"
    return f"00-{text[:32]}-{text[32:]}-00"


def trace_id_of(traceparent: str) -> str:
    """The trace id in a valid `traceparent`, 32 hex digits."""
    return traceparent[3:35]


def span_id_of(traceparent: str) -> str:
    """The span id in a valid `traceparent`, 16 hex digits."""
    return traceparent[36:52]
