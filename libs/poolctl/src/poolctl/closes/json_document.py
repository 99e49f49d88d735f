"""Owns a close as one JSON document with all its exceptions, written as they arrive."""

import json
from collections.abc import AsyncIterator
from typing import Any, TextIO

from poolctl.closes.document import close_document, exception_document
from pools.ledger.v1 import close_pb2


async def write_json(
    target: TextIO,
    close: close_pb2.Close,
    exceptions: AsyncIterator[close_pb2.CloseException],
    **more: Any,
) -> None:
    """Writes the close's fields, then `more`, then `exceptions`, one a line."""
    head = json.dumps(close_document(close) | more, indent=2, ensure_ascii=False)
    target.write(head.removesuffix("\n}") + ',\n  "exceptions": [')
    separator = "\n"
    async for found in exceptions:
        target.write(separator + "    " + json.dumps(exception_document(found), ensure_ascii=False))
        separator = ",\n"
    target.write(("" if separator == "\n" else "\n  ") + "]\n}\n")
