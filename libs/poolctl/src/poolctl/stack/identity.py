"""Owns the choice of the user that a part runs as when we are root and the part refuses to be."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from poolctl.stack.failure import StackError

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
_UNPRIVILEGED_USER = "nobody"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to become, and the one capability it needs to reach its files, None when their permissions suffice."""

    user: int
    group: int
    capability: int | None


def unprivileged_identity(*, owned: Path, program: Path) -> Identity | None:
    """Who runs `program` on the directory `owned`; None when we are not root and so are that already.

    A directory that already belongs to somebody stays theirs. No user is created, and no permission of anybody's
    directory is changed: what the user cannot pass, it passes by capability.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    owner = owned.stat()
    if owner.st_uid != 0:
        user, group = owner.st_uid, owner.st_gid
    else:
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
        user, group = entry.pw_uid, entry.pw_gid
    return Identity(user, group, _capability_needed(owned.resolve(), program.resolve()))


def _capability_needed(owned: Path, program: Path) -> int | None:
    executable = bool(program.stat().st_mode & stat.S_IXOTH)
    ways = {*owned.parents, *program.parents}
    passable = all(way.stat().st_mode & stat.S_IXOTH for way in ways)
    if (executable and passable) or sys.platform != "linux":
        return None
    permitted = _permitted_capabilities()
    # Searching and reading is all it takes, unless the program's file itself is closed to others. Containers often
    # grant only the wider one.
    wanted = (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if executable else (CAP_DAC_OVERRIDE,)
    for capability in wanted:
        if permitted >> capability & 1:
            return capability
    closed = sorted(str(way) for way in ways if not way.stat().st_mode & stat.S_IXOTH) or [str(program)]
    raise StackError(
        f"{program.name} must not run as root, and {_UNPRIVILEGED_USER} cannot reach its files: {closed[0]} is closed.",
        advice=f"Run as another user than root, or open the way: chmod o+x {' '.join(closed)}",
    )


def _permitted_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapPrm":
            return int(value, 16)
    return 0
