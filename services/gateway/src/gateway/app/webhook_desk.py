"""What colleagues may do about webhooks: endpoints off and on, new secrets, deliveries looked at and replayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.domain.deliveries import DisabledReason, check_room
from gateway.store import delivery_search, endpoints, replays
from gateway.store.delivery_search import DeliveryFilter, StoredAttempt, StoredDelivery
from gateway.store.endpoints import StoredEndpoint
from poolkit.context import current_request_id
from poolkit.database import Database, Unit
from poolkit.errors import InvalidRequest, NotFound
from poolkit.security import Cipher, new_webhook_secret
from poolkit.telemetry.tracing import current_traceparent

log = structlog.get_logger(__name__)

OVERLAP_SECONDS_MAX: Final = 604_800
ACTIVE_SECRETS_MAX: Final = 8
"""Each signs every webhook twice, so rotations that overlap are bounded."""
ATTEMPTS_SHOWN_MAX: Final = 500
REPLAYED_BY_LENGTH_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class RotatedSecret:
    """The endpoint with its new secret, which is shown this once."""

    endpoint: StoredEndpoint
    secret: str = dataclasses.field(repr=False)


class WebhookDesk:
    """Endpoints and deliveries as colleagues handle them."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def list_endpoints(self, organization_id: str, *, after: str, limit: int) -> Sequence[StoredEndpoint]:
        """An organization's endpoints, oldest first."""
        return await endpoints.list_endpoints(self._database, organization_id, after=after, limit=limit)

    async def disable(self, endpoint_id: str) -> StoredEndpoint:
        """Posts nothing more to the endpoint; deliveries wait. One that is disabled stays as it is. Raises NotFound."""
        async with self._database.transaction() as unit:
            endpoint = await _locked(unit, endpoint_id)
            if endpoint.disabled_at is None:
                endpoint = await endpoints.disable_endpoint(unit, endpoint, DisabledReason.REQUESTED)
            await unit.commit()
        self._tell("webhook_endpoint_disabled", endpoint, reason=str(endpoint.disabled_reason))
        return endpoint

    async def enable(self, endpoint_id: str) -> StoredEndpoint:
        """Posts to the endpoint again, beginning with what has waited. Safe to repeat.

        Raises NotFound, TooManyWebhookEndpoints.
        """
        async with self._database.transaction() as unit:
            endpoint = await _locked(unit, endpoint_id)
            if endpoint.disabled_at is not None:
                check_room(await endpoints.lock_and_count(unit, endpoint.organization_id) or 0)
                endpoint = await endpoints.enable_endpoint(unit, endpoint)
            await unit.commit()
        self._tell("webhook_endpoint_enabled", endpoint)
        return endpoint

    async def rotate_secret(self, endpoint_id: str, overlap_seconds: int) -> RotatedSecret:
        """Adds a secret; those before it sign as well until the overlap is over. Raises NotFound, InvalidRequest.

        With an overlap of 0 they end at once, which always goes: it is what one does with a secret that leaked.
        """
        if not 0 <= overlap_seconds <= OVERLAP_SECONDS_MAX:
            raise InvalidRequest(f"it must be 0 to {OVERLAP_SECONDS_MAX}.", field="overlap_seconds")
        secret = new_webhook_secret()
        async with self._database.transaction() as unit:
            endpoint = await _locked(unit, endpoint_id)
            endpoint = await endpoints.rotate_secret(unit, endpoint, self._cipher.encrypt(secret), overlap_seconds)
            if endpoint.active_secret_count > ACTIVE_SECRETS_MAX:
                raise InvalidRequest(
                    f"{ACTIVE_SECRETS_MAX} secrets are in force already; wait until one ends, or give no overlap.",
                    field="overlap_seconds",
                )
            await unit.commit()
        self._tell("webhook_secret_rotated", endpoint, overlap_seconds=overlap_seconds)
        return RotatedSecret(endpoint, secret)

    async def list_deliveries(self, wanted: DeliveryFilter, *, before: str, limit: int) -> Sequence[StoredDelivery]:
        """Deliveries, newest first."""
        return await delivery_search.list_deliveries(self._database, wanted, before=before, limit=limit)

    async def find_endpoint(self, endpoint_id: str) -> StoredEndpoint:
        """An endpoint. Raises NotFound."""
        endpoint = await endpoints.find_endpoint(self._database, endpoint_id)
        if endpoint is None:
            raise _no_endpoint()
        return endpoint

    async def find_delivery(self, delivery_id: str) -> tuple[StoredDelivery, Sequence[StoredAttempt]]:
        """A delivery with its last attempts. Raises NotFound."""
        found = await delivery_search.find_delivery(self._database, delivery_id, attempts_max=ATTEMPTS_SHOWN_MAX)
        if found is None:
            raise NotFound("delivery", detail="No delivery has this id.")
        return found

    async def replay(self, delivery_id: str, *, replayed_by: str = "") -> StoredDelivery:
        """Makes a delivery due now, its schedule begun anew; one under way goes on as it is. Raises NotFound."""
        await self.find_delivery(delivery_id)
        replayed = await replays.replay_one(self._database, delivery_id, _replayer(replayed_by))
        log.info("delivery_replayed", delivery_id=delivery_id, replayed=replayed, request_id=current_request_id.get())
        delivery, _ = await self.find_delivery(delivery_id)
        return delivery

    async def replay_range(
        self, wanted: DeliveryFilter, *, after: str, limit: int, replayed_by: str = ""
    ) -> tuple[Sequence[str], str]:
        """Does so for what is wanted of one endpoint, oldest first: ids, and where to go on. Raises InvalidRequest."""
        if not wanted.endpoint_id:
            raise InvalidRequest("say which endpoint's deliveries; others' stay as they are.", field="endpoint_id")
        if wanted.created_from is None:
            raise InvalidRequest(
                "say from when on; everything there ever was is seldom meant.", field="create_time_from"
            )
        replayer = _replayer(replayed_by)
        replayed, token = await replays.replay_range(self._database, wanted, replayer, after=after, limit=limit)
        log.info(
            "deliveries_replayed",
            endpoint_id=wanted.endpoint_id,
            count=len(replayed),
            request_id=current_request_id.get(),
        )
        return replayed, token

    def _tell(self, what: str, endpoint: StoredEndpoint, **facts: object) -> None:
        log.info(
            what,
            endpoint_id=endpoint.endpoint_id,
            organization_id=endpoint.organization_id,
            request_id=current_request_id.get(),
            **facts,
        )


def _replayer(name: str) -> replays.Replayer:
    if len(name) > REPLAYED_BY_LENGTH_MAX or (name and not name.isprintable()):
        limit = f"it is a name of up to {REPLAYED_BY_LENGTH_MAX} printable characters."
        raise InvalidRequest(limit, field="replayed_by")
    return replays.Replayer(name, current_request_id.get(), current_traceparent())


async def _locked(unit: Unit, endpoint_id: str) -> StoredEndpoint:
    endpoint = await endpoints.lock_endpoint(unit, endpoint_id)
    if endpoint is None:
        raise _no_endpoint()
    return endpoint


def _no_endpoint() -> NotFound:
    return NotFound("endpoint", detail="No webhook endpoint has this id.")
