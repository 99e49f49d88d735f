"""Making the topics is a program of its own, which says what it did and what it could not."""

import os
import subprocess
import sys

from aiokafka.admin import AIOKafkaAdminClient

from poolctl.stack.kafka import Kafka
from poolkit.kafka import CONSUMING_SERVICES, TOPICS, dead_letter_topic, topic


def make_topics(bootstrap: str) -> "subprocess.CompletedProcess[str]":
    told = {"POOLS_MODE": "live", "POOLS_KAFKA_BOOTSTRAP": bootstrap, "POOLS_TOPIC_REPLICAS": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POOLS_")} | told
    command = [sys.executable, "-m", "poolkit.topics"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


async def test_all_topics_of_a_mode_are_made_and_a_repeat_finds_them(kafka: Kafka) -> None:
    for _ in range(2):
        done = make_topics(kafka.bootstrap)
        assert done.returncode == 0, done.stderr
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        made = set(await admin.list_topics())
    finally:
        await admin.close()
    assert {topic(name, "live") for name in TOPICS} <= made
    assert {dead_letter_topic(service, "live") for service in CONSUMING_SERVICES} <= made


def test_a_broker_out_of_reach_ends_it_with_status_1() -> None:
    done = make_topics("127.0.0.1:1")
    assert done.returncode == 1
    assert "topics_failed" in done.stdout + done.stderr
