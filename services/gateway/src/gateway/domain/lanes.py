"""Who may be posted to next: how many attempts each endpoint has under way, so that none takes another's place."""

from dataclasses import dataclass, field
from typing import Final

# One endpoint's share of the room that is left for more than one attempt at once.
_SHARE: Final = 8


@dataclass(slots=True)
class _Lane:
    in_flight: int = 0
    slow: bool = False


@dataclass(slots=True)
class Lanes:
    """How many attempts are under way to each endpoint, so that a slow or dead one never takes another's place.

    An endpoint whose last attempt failed or was slow gets one attempt at a time, and all of those together no more than
    `slow_max`. Others get up to `endpoint_max`, but only in a part of the whole, and fewer the less is left of it. The
    rest belongs to endpoints that have nothing under way, so that the first attempt at one never waits for the many at
    others, even while nobody knows yet that those are dead.
    """

    whole_max: int
    endpoint_max: int
    slow_max: int
    _lanes: dict[str, _Lane] = field(default_factory=dict)
    _in_flight: int = 0
    _slow_in_flight: int = 0

    @property
    def room(self) -> int:
        """How many more attempts may begin now."""
        return max(0, self.whole_max - self._in_flight)

    @property
    def wide_room(self) -> int:
        """How many of them at endpoints that may already have some under way."""
        wide_max = max(self.whole_max // 2, self.whole_max - self.slow_max)
        return min(self.room, max(0, wide_max - (self._in_flight - self._slow_in_flight)))

    @property
    def each_max(self) -> int:
        """How many attempts one endpoint may have under way at the moment."""
        return max(1, min(self.endpoint_max, self.wide_room // _SHARE))

    @property
    def slow_room(self) -> int:
        """How many attempts may begin at endpoints that are known to fail."""
        return max(0, self.slow_max - self._slow_in_flight)

    def closed(self, each_max: int) -> list[str]:
        """The endpoints that may not begin another attempt now, when `each_max` is what one may have."""
        return [
            endpoint_id
            for endpoint_id, lane in self._lanes.items()
            if lane.in_flight >= (1 if lane.slow else each_max) or (lane.slow and not self.slow_room)
        ]

    def narrow(self) -> list[str]:
        """The endpoints that may begin only one attempt: the next one shows whether they are well again."""
        return [endpoint_id for endpoint_id, lane in self._lanes.items() if lane.slow]

    def begin(self, endpoint_id: str, *, slow: bool = False) -> None:
        """An attempt begins; `slow` where others know already that the endpoint fails."""
        lane = self._lanes.setdefault(endpoint_id, _Lane(slow=slow))
        lane.in_flight += 1
        self._in_flight += 1
        self._slow_in_flight += lane.slow

    def end(self, endpoint_id: str, *, slow: bool) -> None:
        """An attempt has ended; `slow` where it failed or took long."""
        lane = self._lanes[endpoint_id]
        if lane.slow:
            self._slow_in_flight -= lane.in_flight
        lane.in_flight -= 1
        lane.slow = slow
        self._in_flight -= 1
        if slow:
            self._slow_in_flight += lane.in_flight
        elif not lane.in_flight:
            del self._lanes[endpoint_id]
