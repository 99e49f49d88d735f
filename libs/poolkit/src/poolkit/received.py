"""Owns what a consumer gets: one event read from a Kafka message, or the reason why it can never be applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import ConsumerRecord

from poolkit.logs import of_request


class PoisonEvent(Exception):
    """Raised by a handler: this event can never be applied. `reason` is a short code, a label of the metric."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class ReceivedEvent(NamedTuple):
    """One event as it came. `topic` is the base name, without the mode."""

    topic: str
    partition: int
    offset: int
    key: str
    event_id: str
    type: str
    request_id: str
    traceparent: str
    """Of what wrote the event; of our own span where it is sampled, to be stored on the rows that follow from it."""
    mode: str
    payload: bytes
    timestamp_ms: int


def read_event(record: ConsumerRecord[bytes, bytes], base_names: Mapping[str, str], mode: str) -> ReceivedEvent:
    """Raises PoisonEvent for a message that is no event, or an event of another mode."""
    headers = dict(record.headers)
    try:
        event = ReceivedEvent(
            base_names[record.topic],
            record.partition,
            record.offset,
            record.key.decode(),
            headers["event-id"].decode(),
            headers.get("type", b"").decode(),
            headers.get("request-id", b"").decode(),
            headers.get("traceparent", b"").decode(),
            headers.get("mode", b"").decode(),
            record.value,
            record.timestamp,
        )
    except (KeyError, AttributeError, UnicodeDecodeError) as exc:
        raise PoisonEvent("malformed_message", repr(exc)) from exc
    if event.mode != mode:
        raise PoisonEvent("wrong_mode", event.mode)
    if record.value is None or not event.event_id:
        raise PoisonEvent("malformed_message", "no payload or no event id")
    return event


def named_in(record: ConsumerRecord[bytes, bytes]) -> dict[str, str]:
    """Whose message it is, for a log line, as far as its headers can be read: it may be no event at all."""
    headers = {name: value.decode(errors="replace")[:128] for name, value in record.headers}
    event_id = headers.get("event-id", "")
    ids = of_request(headers.get("request-id", ""), headers.get("traceparent", ""))
    return {"event_id": event_id, **ids} if event_id else ids
