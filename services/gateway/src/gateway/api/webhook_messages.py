"""Translations between the messages about webhooks and the objects of the desk."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.deliveries import DeliveryState, DisabledReason
from gateway.store.delivery_search import DeliveryFilter, StoredAttempt, StoredDelivery
from gateway.store.endpoints import StoredEndpoint
from poolkit.errors import InvalidRequest
from poolkit.rpc.convert import from_time, to_time
from pools.gateway.v1 import admin_pb2, webhooks_pb2

_STATES: Final = {
    admin_pb2.DELIVERY_STATE_PENDING: DeliveryState.PENDING,
    admin_pb2.DELIVERY_STATE_DELIVERED: DeliveryState.DELIVERED,
    admin_pb2.DELIVERY_STATE_DEAD: DeliveryState.DEAD,
}
_STATE_NUMBERS: Final = {state: number for number, state in _STATES.items()}
_REASON_NUMBERS: Final = {
    DisabledReason.GONE: webhooks_pb2.DISABLED_REASON_GONE,
    DisabledReason.FAILING: webhooks_pb2.DISABLED_REASON_FAILING,
    DisabledReason.REQUESTED: webhooks_pb2.DISABLED_REASON_REQUESTED,
}
# What a database and a calendar can hold; nothing was queued outside of it.
_UNIX_SECONDS: Final = range(4_102_444_800)


def delivery_filter(request: admin_pb2.ListDeliveriesRequest) -> DeliveryFilter:
    """Which deliveries to list. Raises InvalidRequest."""
    return DeliveryFilter(
        organization_id=request.organization_id,
        endpoint_id=request.endpoint_id,
        state=_state(request.state),
        trade_id=request.trade_id,
        created_from=_moment(request, "create_time_from"),
        created_before=_moment(request, "create_time_before"),
    )


def replay_filter(request: webhooks_pb2.ReplayDeliveriesRequest) -> DeliveryFilter:
    """Which deliveries to replay. Raises InvalidRequest."""
    return DeliveryFilter(
        endpoint_id=request.endpoint_id,
        state=_state(request.state),
        created_from=_moment(request, "create_time_from"),
        created_before=_moment(request, "create_time_before"),
    )


def delivery_message(delivery: StoredDelivery) -> admin_pb2.Delivery:
    """A delivery, its body by hash alone."""
    return admin_pb2.Delivery(
        delivery_id=delivery.delivery_id,
        event_id=delivery.event_id,
        organization_id=delivery.organization_id,
        endpoint_id=delivery.endpoint_id,
        type=delivery.type,
        state=_STATE_NUMBERS[delivery.state],
        attempt_count=delivery.attempt_count,
        last_status_code=delivery.last_status_code,
        body_sha256=delivery.body_sha256,
        create_time=from_time(delivery.created_at),
        deliver_time=_time(delivery.delivered_at),
        trade_id=delivery.trade_id,
        next_attempt_time=_time(delivery.next_attempt_at),
    )


def attempt_message(attempt: StoredAttempt) -> webhooks_pb2.DeliveryAttempt:
    """How one attempt went."""
    return webhooks_pb2.DeliveryAttempt(
        number=attempt.number,
        status_code=attempt.status_code,
        failure=attempt.failure,
        duration_ms=attempt.duration_ms,
        end_time=from_time(attempt.created_at),
    )


def endpoint_message(endpoint: StoredEndpoint) -> webhooks_pb2.WebhookEndpoint:
    """An endpoint without its secrets."""
    reason = endpoint.disabled_reason
    return webhooks_pb2.WebhookEndpoint(
        endpoint_id=endpoint.endpoint_id,
        organization_id=endpoint.organization_id,
        url=endpoint.url,
        create_time=from_time(endpoint.created_at),
        disable_time=_time(endpoint.disabled_at),
        disabled_reason=_REASON_NUMBERS[reason] if reason else webhooks_pb2.DISABLED_REASON_UNSPECIFIED,
        failing_since_time=_time(endpoint.failing_since),
        active_secret_count=endpoint.active_secret_count,
    )


def _time(moment: datetime | None) -> Timestamp | None:
    return from_time(moment) if moment is not None else None


def _state(number: admin_pb2.DeliveryState.ValueType) -> DeliveryState | None:
    if number and number not in _STATES:
        raise InvalidRequest(f"there is no state with number {number}.", field="state")
    return _STATES.get(number)


def _moment(
    request: admin_pb2.ListDeliveriesRequest | webhooks_pb2.ReplayDeliveriesRequest, field: str
) -> datetime | None:
    if not request.HasField(field):  # type: ignore[arg-type]  # both fields' names are literals of either message
        return None
    moment: Timestamp = getattr(request, field)
    if moment.seconds not in _UNIX_SECONDS or not 0 <= moment.nanos < 1_000_000_000:
        raise InvalidRequest("it must be a moment between 1970 and 2100.", field=field)
    return to_time(moment)
