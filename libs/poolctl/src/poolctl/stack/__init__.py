"""Owns the dev stack: the processes a person needs on one machine, and how they start, end and come back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolctl.stack.supervisor import Stack as Stack

__all__ = ["Stack"]


def __getattr__(name: str) -> object:
    # On first use, so that the command line and tests of one part do not pay for all of them.
    if name == "Stack":
        from poolctl.stack.supervisor import Stack

        return Stack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
