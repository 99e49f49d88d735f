"""Owns what is done with a pay-in: whose it is is asked of the ledger, then it is told of, once and for good."""

from collections.abc import Sequence

from poolkit.context import CallContext
from poolkit.crashpoints import reach
from poolkit.database import Database
from poolkit.errors import DomainError
from poolkit.outbox import append
from poolkit.telemetry.tracing import batch_span, item_spans
from webhook_ingest.app import steps
from webhook_ingest.app.ports import Events, FundingReferences
from webhook_ingest.domain.processing import PROCESSED, UNALLOCATED, Retries, ending_for_owner, is_silence
from webhook_ingest.store import unprocessed
from webhook_ingest.store.unallocated import keep_unallocated
from webhook_ingest.store.unprocessed import Finish
from webhook_ingest.store.webhooks import StoredWebhook


class ProcessPayins:
    """Fulfils `lanes.Process` for `payin.credited` webhooks."""

    def __init__(self, database: Database, references: FundingReferences, events: Events, mode: str) -> None:
        self._database = database
        self._references = references
        self._events = events
        self._mode = mode

    async def __call__(self, webhooks: Sequence[StoredWebhook]) -> list[Finish]:
        """Looks the references up, each once."""
        contexts = [CallContext(webhook.request_id, "", self._mode, webhook.traceparent) for webhook in webhooks]
        with (
            batch_span("webhook-ingest.ProcessPayins", contexts),
            item_spans("webhook-ingest.ProcessWebhook", contexts) as spans,
        ):
            owners = await self._look_up({webhook.event.funding_reference for webhook in webhooks} - {""})
            finishes = []
            for index, webhook in enumerate(webhooks):
                ending = ending_for_owner(owners.get(webhook.event.funding_reference, UNALLOCATED))
                if ending.outcome != PROCESSED:
                    spans[index].fail(ending.outcome)
                finishes.append(Finish(webhook, ending, spans.contexts[index].traceparent))
        reach(steps.AFTER_LOOK_UP)
        return finishes

    async def finish(self, finishes: Sequence[Finish], retries: Retries, elapsed_seconds: float) -> dict[str, str]:
        """The organization, the event and the end of the try are one transaction.

        Only a try that is still this process's to end writes the event, so there is one event a pay-in, whoever else
        tried it too.
        """
        async with self._database.transaction() as unit:
            ended = await unprocessed.finish(unit, finishes, retries, elapsed_seconds)
            credited = [finish for finish in finishes if ended.get(finish.webhook.webhook_id) == PROCESSED]
            nobodys = [finish for finish in credited if finish.ending.organization_id == UNALLOCATED]
            await keep_unallocated(unit, [finish.webhook.webhook_id for finish in nobodys])
            await append(
                unit,
                [
                    self._events.credited(finish.webhook, finish.ending.organization_id, finish.traceparent)
                    for finish in credited
                ],
            )
            await unit.commit()
        reach(steps.AFTER_CREDIT)
        return ended

    async def _look_up(self, references: set[str]) -> dict[str, str | DomainError]:
        if not references:
            return {}
        asked = sorted(references)
        answers = await self._references.look_up(asked)
        for answer in answers:
            if isinstance(answer, DomainError) and is_silence(answer):
                # The ledger did not answer: nothing is known of any, and the lane waits for it.
                raise answer
        return dict(zip(asked, answers, strict=True))
