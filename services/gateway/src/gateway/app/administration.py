"""Provisioning: organizations with their keys and funding references, entitlements, webhook endpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.app.addresses import check_url
from gateway.app.keys import LABEL_LENGTH_MAX, CreatedKey, Keys, check_text
from gateway.app.ports import Ledger, Quotes
from gateway.domain.deliveries import check_room
from gateway.domain.entitlement import Entitlement, EntitlementChange, EntitlementStatus, KeyKind, KycStatus
from gateway.domain.records import CataloguedPool
from gateway.store import access, endpoints
from poolkit.context import CallContext
from poolkit.database import Database
from poolkit.errors import InvalidRequest, NotFound
from poolkit.ids import new_id
from poolkit.money import FIAT
from poolkit.security import Cipher, new_webhook_secret

TIER_DEFAULT: Final = "standard"
NAME_LENGTH_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class CreatedOrganization:
    """An organization with what its owner needs."""

    entitlement: Entitlement
    publishable: CreatedKey
    secret: CreatedKey
    funding_references: dict[str, str]


@dataclass(frozen=True, slots=True)
class CreatedEndpoint:
    """An endpoint with its secret, which is shown this once."""

    endpoint_id: str
    secret: str = dataclasses.field(repr=False)


class Administration:
    """What colleagues may change. The context of each call says who asks and under which request; its mode is ours."""

    def __init__(
        self,
        database: Database,
        *,
        quotes: Quotes,
        ledger: Ledger,
        cipher: Cipher,
        keys: Keys,
        allow_private_endpoints: bool,
    ) -> None:
        self._database = database
        self._quotes = quotes
        self._ledger = ledger
        self._cipher = cipher
        self._keys = keys
        self._allow_private_endpoints = allow_private_endpoints

    async def create_organization(
        self, context: CallContext, *, name: str, pool_ids: Sequence[str], tier: str
    ) -> CreatedOrganization:
        """Makes an organization, active and approved, with two keys and a funding reference a fiat currency.

        Not safe to repeat: each call makes another. Raises InvalidRequest for an unknown pool or tier.
        """
        check_text(name, "name", NAME_LENGTH_MAX)
        own = context._replace(organization_id=new_id("org"))
        pools = await self._quotes.list_pools(own)
        entitlement = Entitlement(
            organization_id=own.organization_id,
            mode=own.mode,
            status=EntitlementStatus.ACTIVE,
            kyc_status=KycStatus.APPROVED,
            tier=tier or TIER_DEFAULT,
            pool_ids=tuple(sorted(set(pool_ids) or {pool.pool_id for pool in pools})),
            off_ramp_enabled=False,
            balance_gate_enabled=True,
        )
        _check_against(pools, entitlement)
        # First, since it may fail and is safe to repeat; references of an organization that never came are never used.
        references = await self._ledger.ensure_funding_references(own, sorted(FIAT))
        async with self._database.transaction() as unit:
            await access.insert_organization(unit, own, name)
            await access.write_entitlement(unit, own, entitlement)
            publishable = await self._keys.insert(unit, own, KeyKind.PUBLISHABLE, name[:LABEL_LENGTH_MAX])
            secret = await self._keys.insert(unit, own, KeyKind.SECRET, name[:LABEL_LENGTH_MAX])
            await unit.commit()
        return CreatedOrganization(entitlement, publishable, secret, references)

    async def entitlement(self, organization_id: str, mode: str) -> Entitlement:
        """What the organization may do in this mode. A pure read. Raises NotFound."""
        found = await access.read_entitlement(self._database, organization_id, mode)
        if found is None:
            raise NotFound("organization", detail="No organization has this id.")
        return found

    async def update_entitlement(self, context: CallContext, change: EntitlementChange) -> Entitlement:
        """Changes what is named and leaves the rest. Safe to repeat. Raises NotFound, InvalidRequest."""
        pools = []
        if change.pool_ids is not None or change.tier is not None:
            pools = list(await self._quotes.list_pools(context))
        async with self._database.transaction() as unit:
            before = await access.read_entitlement_for_update(unit, context.organization_id, context.mode)
            if before is None:
                raise NotFound("organization", detail="No organization has this id.")
            after = before.changed(change)
            if pools:
                _check_against(pools, after)
            await access.write_entitlement(unit, context, after)
            await unit.commit()
        return after

    async def create_endpoint(self, context: CallContext, url: str) -> CreatedEndpoint:
        """Adds a webhook endpoint of the organization. Not safe to repeat.

        Raises NotFound, InvalidRequest, TooManyWebhookEndpoints.
        """
        check_url(url, allow_private=self._allow_private_endpoints)
        created = CreatedEndpoint(new_id("whk"), new_webhook_secret())
        async with self._database.transaction() as unit:
            in_use = await endpoints.lock_and_count(unit, context.organization_id)
            if in_use is None:
                raise NotFound("organization", detail="No organization has this id.")
            check_room(in_use)
            await endpoints.insert_endpoint(
                unit,
                context,
                endpoint_id=created.endpoint_id,
                url=url,
                encrypted_secret=self._cipher.encrypt(created.secret),
            )
            await unit.commit()
        return created


def _check_against(pools: Sequence[CataloguedPool], entitlement: Entitlement) -> None:
    """Raises InvalidRequest for a pool that does not exist, or a tier that none of the pools has prices for."""
    known = {pool.pool_id: pool for pool in pools}
    for pool_id in entitlement.pool_ids:
        if pool_id not in known:
            raise InvalidRequest(
                f"there is no pool {pool_id!r}; known are {', '.join(sorted(known))}.", field="pool_ids"
            )
    tiers = {tier.tier for pool in pools for tier in pool.tiers}
    if entitlement.tier not in tiers:
        raise InvalidRequest(
            f"there is no tier {entitlement.tier!r}; known are {', '.join(sorted(tiers)) or 'none'}.", field="tier"
        )
