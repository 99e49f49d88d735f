"""Owns the way of one posted webhook: whose it is, whether it was signed, what it says, and that it is kept."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from prometheus_client import Counter

from poolkit.batching import Batcher
from poolkit.database import Database
from poolkit.errors import DomainError, KindNotAllowed, NotFound
from poolkit.ids import new_id
from poolkit.telemetry.tracing import current_traceparent, span
from webhook_ingest.app.directory import OpenSource, SourceDirectory
from webhook_ingest.app.ports import ReadBody
from webhook_ingest.app.receive import Receipt, ReceiveWebhooks
from webhook_ingest.app.signatures import Headers, verify
from webhook_ingest.domain.events import ProviderEvent
from webhook_ingest.store import rejected
from webhook_ingest.store.rejected import Rejection
from webhook_ingest.store.webhooks import Incoming

SIGNATURE_VALID: Final = "valid"

_RECEIVED: Final = Counter(
    "pools_webhooks_received", "Webhooks that came in, by source and by what was answered", ["source", "answer"]
)


class Posted(NamedTuple):
    """What came over HTTP; nothing of it is known to be true."""

    source: str
    headers: Headers
    body: bytes
    request_id: str
    traceparent: str
    """As sent along; adopted only when the signature verifies. Empty when none was."""


class Intake:
    """Takes webhooks in. Those of many callers are stored together, as are those that are refused.

    Refused ones have a queue of their own, and a short one: whoever floods the door with unsigned bodies waits behind
    himself only.
    """

    def __init__(
        self, database: Database, directory: SourceDirectory, read_body: ReadBody, receive: ReceiveWebhooks
    ) -> None:
        self._database = database
        self._directory = directory
        self._read_body = read_body
        self._webhooks: Batcher[Incoming, Receipt] = Batcher("webhooks", receive)
        self._rejections: Batcher[Rejection, None] = Batcher("rejected-webhooks", self._keep, queue_max=512)

    async def take(self, posted: Posted) -> Receipt:
        """Answers when the webhook is durable.

        Raises, in this order: NotFound for an unknown source; TimestampStale, SignatureInvalid; InvalidRequest;
        KindNotAllowed; EventConflict, PayinConflict. All but the first are durable too. Overloaded and Unavailable mean
        that the sender has to come again.
        """
        source = await self._directory.find(posted.source)
        if source is None:
            raise NotFound("source")
        try:
            verify(source.scheme, source.signature_header, source.secrets, posted.headers, posted.body)
        except DomainError as refusal:
            await self._reject(posted, refusal, refusal.code)
            raise
        # Only now: whoever has not signed has no say in what is traced, nor under which trace.
        with span("webhook-ingest.ReceiveWebhook", traceparent=posted.traceparent, kind="server") as receiving:
            try:
                event = self.read(source, posted.body)
            except DomainError as refusal:
                receiving.fail(refusal)
                await self._reject(posted, refusal, SIGNATURE_VALID)
                raise
            receiving.set("pools.webhook_kind", event.kind)
            return await self._store(
                Incoming(
                    webhook_id=new_id("whe"),
                    source=posted.source,
                    event=event,
                    fingerprint=event.fingerprint,
                    body=posted.body,
                    request_id=posted.request_id,
                    traceparent=current_traceparent(),
                )
            )

    async def take_answers(self, answers: Sequence[Incoming]) -> list[Receipt | BaseException]:
        """Takes in what a provider answered when it was asked, in this order; each fails alone, as a posted one would.

        Under the same source and event ids as its webhooks, so that whichever comes second is a duplicate.
        """
        return await asyncio.gather(*(self._store(answer) for answer in answers), return_exceptions=True)

    async def drain(self) -> None:
        """Refuses what comes from now on and returns when all that was taken is answered."""
        await self._webhooks.drain()
        await self._rejections.drain()

    def read(self, source: OpenSource, body: bytes) -> ProviderEvent:
        """The event in a body that is known to be the source's. Raises InvalidRequest, KindNotAllowed."""
        event = self._read_body(body)
        if event.kind not in source.kinds:
            raise KindNotAllowed
        return event

    async def _store(self, incoming: Incoming) -> Receipt:
        try:
            receipt = await self._webhooks.submit(incoming)
        except DomainError as refusal:
            _RECEIVED.labels(incoming.source, refusal.code).inc()
            raise
        _RECEIVED.labels(incoming.source, "duplicate" if receipt.duplicate else "stored").inc()
        return receipt

    async def _reject(self, posted: Posted, refusal: DomainError, signature_result: str) -> None:
        await self._rejections.submit(
            Rejection(
                webhook_id=new_id("whe"),
                source=posted.source,
                reason=refusal.code,
                signature_result=signature_result,
                detail=refusal.message,
                body=posted.body,
                request_id=posted.request_id,
                traceparent=current_traceparent(),
            )
        )
        _RECEIVED.labels(posted.source, refusal.code).inc()

    async def _keep(self, batch: list[Rejection]) -> list[None]:
        await rejected.keep(self._database, batch)
        return [None] * len(batch)
