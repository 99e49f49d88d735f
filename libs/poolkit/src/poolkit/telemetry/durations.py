"""Histograms of durations for what happens on every call: an observation costs a fifth of prometheus_client's own."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import REGISTRY, Collector

# Seconds. From a call answered out of memory to one that used up the partner's whole deadline.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BOUNDS: Final = (*(str(bound) for bound in BUCKETS), "+Inf")


class Durations:
    """The durations under one set of label values.

    Written by the loop alone, without a lock; a scrape between two steps of an observation may be off by that one.
    """

    __slots__ = ("_counts", "_sum_seconds")

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self._sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum_seconds += seconds

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative counts by upper bound, and the sum, as Prometheus wants them."""
        return list(zip(_BOUNDS, accumulate(self._counts), strict=True)), self._sum_seconds


class DurationHistogram(Collector):
    """A Prometheus histogram in seconds; keep what `labels` answers wherever the labels do not change."""

    def __init__(self, name: str, documentation: str, label_names: Sequence[str]) -> None:
        self._name = name
        self._documentation = documentation
        self._label_names = tuple(label_names)
        self._children: dict[tuple[str, ...], Durations] = {}
        REGISTRY.register(self)

    def labels(self, *values: str) -> Durations:
        """The durations under these label values."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._label_names):
                raise ValueError(f"{self._name} has the labels {', '.join(self._label_names)}")
            child = self._children.setdefault(values, Durations())
        return child

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Everything observed so far; called from the metrics server's thread."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._label_names)
        for values, child in list(self._children.items()):
            buckets, sum_seconds = child.read()
            family.add_metric(values, buckets, sum_seconds)
        yield family
