"""The way through all combinations of two revisions by changes of one service at a time, as releases go, under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from poolctl.stack.programs import SERVICES
from tests.e2e.rolling.calling import calling
from tests.e2e.rolling.fleet import Fleet, replicas_of, second
from tests.skew.revision import Revision
from tests.waiting import eventually

NAMES = [program.name for program in SERVICES]
ORDERS_MIN = 20
"""In each combination: every operation and every ending, over both edges."""


def gray(bits: int) -> Iterator[tuple[int, int]]:
    """Every number of so many bits once, each with the bit in which it differs from the one before; 0 is not among."""
    for number in range(1, 2**bits):
        code, before = number ^ number >> 1, (number - 1) ^ (number - 1) >> 1
        yield code, (code ^ before).bit_length() - 1


@dataclass(frozen=True, slots=True)
class Combination:
    """What ran together, and how that went, the change that led there included."""

    present: frozenset[str]
    """The services at the present revision; the others were at the base."""
    changed: str
    orders: int
    calls: int
    failures: Sequence[str]

    @property
    def words(self) -> str:
        """A character a service, in the order of NAMES: `N` for the present revision, `-` for the one before."""
        return "".join("N" if name in self.present else "-" for name in NAMES)


async def walk(fleet: Fleet) -> AsyncIterator[Combination]:
    """From the base of all to every combination; at the end the books are compared. Raises AssertionError there."""
    async with calling(fleet) as patrons:
        noted = patrons.noted
        present: frozenset[str] = frozenset()
        for changed in [None, *(NAMES[bit] for _, bit in gray(len(NAMES)))]:
            orders, calls, failures = noted.orders, sum(noted.calls.values()), len(noted.failures)
            if changed is not None:
                present = present ^ {changed}
                base, ours = replicas_of(changed)
                await (fleet.exchange(base, ours) if changed in present else fleet.exchange(ours, base))
            enough = noted.orders + ORDERS_MIN
            await eventually(lambda enough=enough: noted.orders >= enough, "orders are made", seconds=120)
            yield Combination(
                present,
                changed or "",
                noted.orders - orders,
                sum(noted.calls.values()) - calls,
                noted.failures[failures:],
            )
        # Told one by one; what is compared at the end is what came of them.
        noted.failures.clear()


async def start_at_base(fleet: Fleet) -> None:
    """All replicas are started, so that every database is at the present schema, and those of the present stopped."""
    await fleet.start()
    await asyncio.gather(*(fleet.stack.stop_part(second(name)) for name in NAMES))


def pythons(base: Revision, present: Revision) -> dict[str, str]:
    """By replica: the first of each service is of the base, the second of the present revision."""
    found: dict[str, str] = {}
    for program in SERVICES:
        found[program.name] = base.python_for(program.module)
        found[second(program.name)] = present.python_for(program.module)
    return found
