"""Owns saying who asks, for what is kept of accesses and replays."""

import getpass
from typing import Final

_NAME_LENGTH_MAX: Final = 128


def who_asks(said: str = "") -> str:
    """Whoever said to ask, beside whom the system knows them as."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "an unnamed system user"
    return (f"{said} ({user})" if said else user)[:_NAME_LENGTH_MAX]
