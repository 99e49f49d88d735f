"""What the logs of a whole run must not hold, and what each line about a request must."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from poolctl.stack.layout import Layout

SECRET = re.compile(
    r"[sp]k_(?:test|live)_[A-Za-z0-9]{8}|whsec_[A-Za-z0-9+/]{8}|v1=[0-9a-f]{32}|v1,[A-Za-z0-9+/]{20}|Bearer (?!\[)\S"
)
"""Keys, webhook secrets and both kinds of signature, by their looks."""
ABOUT_A_REQUEST = {"request_id", "trade_id", "quote_id", "delivery_id", "webhook_id", "event_id"}
"""A line that names one of these is about what some request began."""


def lines_of(directory: Path) -> list[str]:
    """Every line that any part of the stack has logged, in files that were put aside as well."""
    files = [file for pattern in ("*.log", "*.log.1") for file in directory.rglob(pattern)]
    return [line for file in files for line in file.read_text(errors="replace").splitlines()]


def leaks(lines: Iterable[str], layout: Layout, addresses: Mapping[str, Any]) -> list[str]:
    """The lines that hold a secret: one that looks like it, or one that this very stack was made with."""
    made = [value for value in json.loads(layout.secrets_file.read_text()).values() if isinstance(value, str)]
    urls = [url for name in ("databases", "adminDatabases") for url in addresses[name].values()]
    own = {*made, *(urlsplit(url).password or "" for url in urls)} - {""}
    assert len(own) > 5, "the stack has secrets of its own"
    # Looking for a few texts first is many times as fast as the pattern.
    traces = ("k_test_", "k_live_", "whsec_", "v1=", "v1,", "Bearer ")
    return [
        line
        for line in lines
        if any(secret in line for secret in own)
        or (any(trace in line for trace in traces) and SECRET.search(line) is not None)
    ]


def nameless(lines: Iterable[str]) -> list[str]:
    """The lines about a request that do not say which, or do not say its trace."""
    return [
        line
        for line in lines
        if '_id"' in line
        and ABOUT_A_REQUEST & (told := _told(line)).keys()
        and not (told.get("request_id") and told.get("trace_id"))
    ]


def _told(line: str) -> dict[str, Any]:
    """What a line of ours says; database and broker have a way of their own."""
    try:
        told = json.loads(line) if line.startswith("{") else {}
    except ValueError:
        return {}
    return dict(told)
