"""Owns whether a stack's programs prove to each other who they are, and with which certificates."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from poolctl.stack.layout import Layout
from poolctl.stack.secrets import write_privately

if TYPE_CHECKING:
    from poolkit.rpc.certificates import Certificates

_LOOK_SECONDS = 60.0


def choose(layout: Layout, asked: bool | None) -> bool:
    """Whether this start is with mTLS: as asked, which is remembered; as remembered, where nothing was asked."""
    if asked is not None:
        write_privately(layout.mtls_file, json.dumps({"mtls": asked}))
        return asked
    return is_chosen(layout)


def is_chosen(layout: Layout) -> bool:
    """What is remembered; without, unless somebody once asked for it. A deployment's are shown where there are any."""
    if layout.deployment_file.exists():
        return layout.certificates.is_dir()
    try:
        return bool(json.loads(layout.mtls_file.read_text())["mtls"])
    except (OSError, ValueError, TypeError, KeyError):
        return False


def certificates_of(layout: Layout, identity: str) -> "Certificates | None":
    """What a caller of this stack shows; None where the stack asks nobody for it."""
    if not is_chosen(layout):
        return None
    from poolctl.certificate_files import files_in
    from poolkit.rpc.certificates import Certificates

    return Certificates(*files_in(layout.certificates / identity))


def issue(folder: Path) -> datetime:
    """New certificates for everybody there is; answers when they end."""
    from poolctl.certificates import issue_all
    from poolkit.rpc.callers import CALLERS

    return min(issued.ends_at for issued in issue_all(folder, CALLERS))


async def keep_issued(folder: Path, ends_at: datetime, say: Callable[[str], None]) -> None:
    """Issues new ones when half their time is over; the programs take them up by themselves."""
    half = (ends_at - datetime.now(UTC)) / 2
    while True:
        # By the clock on the wall: a laptop that slept must not wake up with certificates that have ended.
        await asyncio.sleep(_LOOK_SECONDS)
        if ends_at - datetime.now(UTC) < max(half, timedelta(seconds=2 * _LOOK_SECONDS)):
            ends_at = issue(folder)
            say(f"issued new certificates, which end at {ends_at:%Y-%m-%d %H:%M} UTC")
