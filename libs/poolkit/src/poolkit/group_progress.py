"""Owns asking the broker how far a consumer group has come, over all replicas: offsets are committed after effects."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from poolkit.errors import Unavailable
from poolkit.kafka import topic

SECONDS_MAX: Final = 10.0


class GroupProgress:
    """A group's committed offsets beside the ends of its topics."""

    def __init__(self, bootstrap: str, group: str, topics: Sequence[str], mode: str) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._topics = [topic(name, mode) for name in topics]

    async def ends(self) -> Mapping[object, int]:
        """Where each partition ends now. Raises Unavailable."""
        consumer = AIOKafkaConsumer(*self._topics, bootstrap_servers=self._bootstrap)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await consumer.start()
                ends: Mapping[object, int] = await consumer.end_offsets(consumer.assignment())
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable("The broker does not say where the topics end.") from error
        else:
            return ends
        finally:
            await consumer.stop()

    async def behind(self, ends: Mapping[object, int]) -> int:
        """How many events before those ends the group has not committed. Raises Unavailable."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        committed: Mapping[Any, Any]
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await admin.start()
                committed = await admin.list_consumer_group_offsets(self._group)
        except GroupCoordinatorNotAvailableError:
            # Of a group that nobody has joined yet.
            committed = {}
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable("The broker does not say how far the group has come.") from error
        finally:
            await admin.close()
        missing = 0
        for place, end in ends.items():
            # -1 and no entry both mean that nothing was ever committed.
            offset = max(0, committed[place].offset) if place in committed else 0
            missing += max(0, end - offset)
        return missing
