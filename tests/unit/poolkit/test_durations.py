"""Durations: what Prometheus reads is what was observed."""

from prometheus_client import REGISTRY, generate_latest

from poolkit.telemetry.durations import BUCKETS, DurationHistogram


def test_observations_land_in_their_buckets_and_the_sum() -> None:
    histogram = DurationHistogram("tested_duration_seconds", "For this test.", ("method", "code"))
    child = histogram.labels("Get", "OK")
    for seconds in (0.0, 0.001, 0.0011, 0.2, 99.0):
        child.observe(seconds)
    assert histogram.labels("Get", "OK") is child
    labels = {"method": "Get", "code": "OK"}

    def at_most(bound: str) -> float | None:
        return REGISTRY.get_sample_value("tested_duration_seconds_bucket", labels | {"le": bound})

    assert [at_most(str(bound)) for bound in BUCKETS] == [2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4]
    assert at_most("+Inf") == 5
    assert REGISTRY.get_sample_value("tested_duration_seconds_count", labels) == 5
    assert REGISTRY.get_sample_value("tested_duration_seconds_sum", labels) == 99.2021
    assert b"# TYPE tested_duration_seconds histogram" in generate_latest()
