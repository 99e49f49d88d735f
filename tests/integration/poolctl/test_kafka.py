"""The stack's Kafka: what it acknowledged survives a kill, and a start that fails says why."""

import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from poolctl.stack.failure import StackError
from poolctl.stack.kafka import Kafka
from poolctl.stack.ports import free_port


async def _make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def _receive(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


@pytest.mark.long
async def test_acknowledged_messages_survive_kill_stop_and_a_new_port(tmp_path: Path) -> None:
    broker = Kafka(tmp_path, free_port())
    await broker.start()
    try:
        await _make_topic(broker.bootstrap, "kept")
        values = [str(number).encode() for number in range(50)]
        await _send(broker.bootstrap, "kept", values)
        await broker.kill()
        await broker.start()
        assert await _receive(broker.bootstrap, "kept", len(values)) == values
        await broker.stop()
        broker = Kafka(tmp_path, free_port())
        await broker.start()
        assert await _receive(broker.bootstrap, "kept", len(values)) == values
    finally:
        await broker.stop()


async def test_taken_port_is_told_with_the_log_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        broker = Kafka(tmp_path, other.getsockname()[1])
        with pytest.raises(StackError) as failure:
            await broker.start()
    assert "did not start" in failure.value.what
    assert failure.value.advice
    assert "Address already in use" in failure.value.tail
    assert not broker.process.running
