"""How far a consumer is behind shows for the partitions that it reads, and for those that others read no more."""

import pytest
from prometheus_client import REGISTRY

from poolkit.group_reader import GroupReader
from poolkit.kafka import Message, Producer
from tests.integration.poolkit.conftest import Topics
from tests.waiting import eventually


def told(group: str) -> dict[str, float]:
    """The events behind, by partition."""
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    return {
        sample.labels["partition"]: sample.value
        for sample in samples
        if sample.name == "pools_consumer_lag_events" and sample.labels["consumer"] == group
    }


async def test_partitions_that_another_replica_has_taken_over_are_told_of_by_that_one_alone(
    topics: Topics, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolkit.group_reader.PROBE_SECONDS", 0.05)
    group = topics.consumer
    await producer.send_all([Message(topics.terminal, f"org_{number}".encode(), b"event", []) for number in range(40)])

    def member(name: str) -> GroupReader:
        return GroupReader(group, [topics.terminal], bootstrap=topics.bootstrap, client_id=name, batch_max=10)

    first, second = member("first"), member("second")
    await first.start()
    await eventually(lambda: sum(told(group).values()) == 40, "the only member tells of all that waits")
    assert len(told(group)) == 4

    def own() -> set[str]:
        return {str(place.partition) for place in first._consumer.assignment()}

    await second.start()
    # As if of another process: what that one tells is not told here.
    assert second._watcher is not None
    second._watcher.cancel()
    await eventually(lambda: len(own()) == 2, "the other has taken over two", seconds=30)
    await eventually(lambda: set(told(group)) == own(), "what it has taken over is told of here no more")
    await second.stop()
    await eventually(lambda: sum(told(group).values()) == 40, "what comes back is told of again", seconds=30)
    await first.stop()
