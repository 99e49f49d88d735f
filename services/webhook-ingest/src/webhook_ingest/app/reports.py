"""Owns what is done with a settlement report: the trade service is told, and answers what it did."""

from collections.abc import Sequence

from poolkit.context import CallContext
from poolkit.crashpoints import reach
from poolkit.database import Database
from poolkit.errors import DomainError, IllegalTransition
from poolkit.telemetry.tracing import batch_span, item_spans
from webhook_ingest.app import steps
from webhook_ingest.app.ports import Reported, Settlements
from webhook_ingest.domain.processing import EXCEPTION, PROCESSED, Ending, Retries, ending_for
from webhook_ingest.store import unprocessed
from webhook_ingest.store.unprocessed import Finish
from webhook_ingest.store.webhooks import StoredWebhook


class ProcessReports:
    """Fulfils `lanes.Process` for `trade.*` webhooks. Telling trade the same again is a no-op there."""

    def __init__(self, database: Database, settlements: Settlements, mode: str) -> None:
        self._database = database
        self._settlements = settlements
        self._mode = mode

    async def __call__(self, webhooks: Sequence[StoredWebhook]) -> list[Finish]:
        """Reports all of them in one call; each has its own answer."""
        contexts = [CallContext(webhook.request_id, "", self._mode, webhook.traceparent) for webhook in webhooks]
        with (
            batch_span("webhook-ingest.ProcessReports", contexts),
            item_spans("webhook-ingest.ProcessWebhook", contexts) as spans,
        ):
            answers = await self._settlements.report(list(zip(webhooks, spans.contexts, strict=True)))
            reach(steps.AFTER_REPORT)
            finishes = []
            for index, (webhook, answer) in enumerate(zip(webhooks, answers, strict=True)):
                ending = _ending(answer)
                if ending.request_id:
                    # What settles a trade, however late, is found under the request that reserved it.
                    spans[index].set("pools.request_id", ending.request_id)
                    spans[index].set("pools.report_request_id", webhook.request_id)
                if ending.outcome != PROCESSED:
                    spans[index].fail(ending.outcome)
                finishes.append(Finish(webhook, ending, spans.contexts[index].traceparent))
        return finishes

    async def finish(self, finishes: Sequence[Finish], retries: Retries, elapsed_seconds: float) -> dict[str, str]:
        """One statement: nothing else belongs to it."""
        return await unprocessed.finish(self._database, finishes, retries, elapsed_seconds)


def _ending(answer: Reported | DomainError) -> Ending:
    if isinstance(answer, DomainError):
        return ending_for(answer)
    if answer.effect == "refused":
        # Trade has stored it too; here it is an exception because it came and will never have its effect.
        return Ending(
            EXCEPTION,
            detail=(answer.refusal or IllegalTransition()).message,
            organization_id=answer.organization_id,
            request_id=answer.request_id,
        )
    return Ending(PROCESSED, effect=answer.effect, organization_id=answer.organization_id, request_id=answer.request_id)
