"""How far a consumer group has come is known from outside, in every partition, before and after it commits."""

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from poolkit.group_progress import GroupProgress
from poolkit.kafka import TRADE_TERMINAL, Message, Producer
from tests.integration.poolkit.conftest import Topics


async def test_events_count_as_behind_until_the_group_has_committed_past_them(topics: Topics) -> None:
    producer = Producer(topics.bootstrap, client_id="test")
    await producer.send_all([Message(topics.terminal, b"org_1", b"event", []) for _ in range(3)])
    progress = GroupProgress(topics.bootstrap, topics.consumer, [TRADE_TERMINAL], topics.mode)
    ends = await progress.ends()
    assert await progress.behind(ends) == 3
    await producer.send(Message(topics.terminal, b"org_1", b"later", []))
    assert await progress.behind(ends) == 3
    consumer = AIOKafkaConsumer(bootstrap_servers=topics.bootstrap, group_id=topics.consumer, enable_auto_commit=False)
    await consumer.start()
    [place] = [place for place, end in ends.items() if end]
    assert isinstance(place, TopicPartition)
    consumer.assign([place])
    for offset, behind in ((1, 2), (3, 0), (4, 0)):
        await consumer.commit({place: offset})
        assert await progress.behind(ends) == behind
    await consumer.stop()
    await producer.stop()
