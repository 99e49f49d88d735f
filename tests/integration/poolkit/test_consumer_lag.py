"""How far a consumer is behind shows for the partitions that it reads, and for those that others read no more."""

import pytest
from aiokafka import TopicPartition
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
    reader = GroupReader(group, [topics.terminal], bootstrap=topics.bootstrap, client_id="tested", batch_max=10)
    await reader.start()
    await eventually(lambda: sum(told(group).values()) == 40, "the only member tells of all that waits")
    assert set(told(group)) == {"0", "1", "2", "3"}
    assert reader._watcher is not None
    reader._watcher.cancel()
    # As the broker tells a member when another has come.
    await reader.on_partitions_assigned({TopicPartition(topics.terminal, number) for number in (0, 2)})
    assert set(told(group)) == {"0", "2"}
    # All are its own still, so it tells of all when it looks again.
    await reader._lag()
    assert sum(told(group).values()) == 40
    await reader.stop()
