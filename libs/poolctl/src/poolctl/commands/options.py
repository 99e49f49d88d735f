"""Owns the options that commands share, and how an answer is written."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from poolctl.failure import CommandFailure
from poolctl.stack.layout import DEFAULT_DATA_DIRECTORY

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", metavar="DIR", help="Which stack; its data, ports, logs and secrets lie here."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]

DEFAULT_DATA_DIR = DEFAULT_DATA_DIRECTORY


def print_json(document: Any) -> None:
    """The one document of a command on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def moment(option: str, text: str | None) -> Any:
    """The moment that was written, in UTC where no zone is named; None for none, wrong usage for what is no time."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
        stamp = Timestamp()
        stamp.FromDatetime(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no time like 2026-11-22T10:00:00Z.", param_hint=option) from None
    return stamp


@contextmanager
def written_whole(out: Path | None) -> Iterator[TextIO]:
    """Where an export goes: `out`, whole or not at all, or standard output where no file is named.

    Whoever looks meanwhile, or after a failure, never finds half of it, which could pass for all.
    """
    if out is None:
        yield sys.stdout
        return
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as target:
            yield target
        partial.replace(out)
    except OSError as failure:
        raise CommandFailure(f"{out} cannot be written: {failure.strerror or failure}.") from failure
    finally:
        partial.unlink(missing_ok=True)
