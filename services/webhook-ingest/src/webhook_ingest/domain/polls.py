"""Owns what asking the settlement provider about a trade can come to."""

from enum import StrEnum


class PollOutcome(StrEnum):
    """What came of asking."""

    NEWS = "news"
    """It reported something, which is stored."""
    NO_NEWS = "no_news"
    """It has nothing to report yet."""
    NO_ANSWER = "no_answer"
    """Silence, or what cannot be a report on this trade."""
    NOT_ASKED = "not_asked"
    """There is none to ask, it was asked a moment ago, or too many are being asked."""
