"""Owns the options that every command takes, and how an answer is written."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

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
