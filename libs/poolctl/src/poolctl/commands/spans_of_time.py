"""Owns reading a span of time as people write it: `90s`, `30m`, `24h`, `7d`, or `0` for none."""

import re
from datetime import timedelta

import typer
from google.protobuf.duration_pb2 import Duration

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WRITTEN = re.compile(r"([0-9]{1,9})([smhd])")


def span_of_time(option: str, text: str, *, longest: timedelta) -> Duration:
    """The span; wrong usage for another word, or one that is longer than the longest."""
    found = _WRITTEN.fullmatch(text)
    if found is None and text != "0":
        raise typer.BadParameter(f"{text!r} is not of the form 90s, 30m, 24h, 7d or 0.", param_hint=option)
    span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found is not None else timedelta()
    if span > longest:
        raise typer.BadParameter(f"{text!r} is longer than {longest.days} days.", param_hint=option)
    message = Duration()
    message.FromTimedelta(span)
    return message
