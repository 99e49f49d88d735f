"""Owns asking the settlement provider about one trade, and taking in its answer as if it had been posted."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from prometheus_client import Counter

from poolkit.batching import Batcher
from poolkit.database import Database
from poolkit.errors import DomainError, EventConflict
from poolkit.ids import new_id
from poolkit.logs import of_request
from poolkit.telemetry.tracing import current_traceparent, span
from webhook_ingest.app.directory import OpenSource, SourceDirectory
from webhook_ingest.app.intake import Intake
from webhook_ingest.app.lanes import Lane
from webhook_ingest.app.ports import NoAnswer, Provider, ProviderAnswer
from webhook_ingest.app.receive import Receipt
from webhook_ingest.domain.polls import PollOutcome
from webhook_ingest.store import polls
from webhook_ingest.store.polls import Poll
from webhook_ingest.store.webhooks import Incoming

IN_FLIGHT_MAX: Final = 64
"""Questions at a time: a provider that hangs holds up so many, and everyone else is answered at once."""
APPLY_SECONDS_MAX: Final = 0.5
"""How long an answer waits to take effect; it is durable by then, and takes effect without anybody waiting too."""

_POLLS: Final = Counter("pools_status_polls", "Questions to the settlement provider, by what came of them", ["outcome"])

_log = structlog.get_logger("webhook_ingest.poll")


class PollSettlements:
    """Asks about a trade: one question at a time, whoever asks, and none within the pause after the last."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        directory: SourceDirectory,
        intake: Intake,
        lane: Lane,
        source: str,
    ) -> None:
        self._database = database
        self._provider = provider
        self._directory = directory
        self._intake = intake
        self._lane = lane
        self._source = source
        self._claims: Batcher[Poll, bool] = Batcher("status-polls", self._claim)
        self._under_way: dict[str, asyncio.Task[PollOutcome]] = {}

    async def __call__(self, poll: Poll) -> PollOutcome:
        """What came of asking. Never raises what the provider did; whoever asks meanwhile gets the same answer."""
        under_way = self._under_way.get(poll.trade_id)
        if under_way is None:
            if len(self._under_way) >= IN_FLIGHT_MAX:
                _POLLS.labels(PollOutcome.NOT_ASKED).inc()
                return PollOutcome.NOT_ASKED
            # A task of its own: the first who asked may go away, the others still wait.
            under_way = asyncio.create_task(self._poll(poll))
            self._under_way[poll.trade_id] = under_way
            under_way.add_done_callback(lambda _: self._under_way.pop(poll.trade_id, None))
        return await asyncio.shield(under_way)

    async def drain(self) -> None:
        """Returns when every answer that was waited for is stored. Drain it before the intake."""
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        await self._claims.drain()

    async def _poll(self, poll: Poll) -> PollOutcome:
        outcome = PollOutcome.NO_ANSWER
        with span("webhook-ingest.PollSettlement", traceparent=poll.traceparent, kind="client") as asking:
            try:
                outcome = await self._ask(poll)
            except (NoAnswer, DomainError) as error:
                asking.fail(str(error))
                _log.warning("provider_gave_no_answer", why=str(error), **_named(poll))
            except Exception as error:
                # Whatever a provider manages to answer, a poll is a read and must not fail.
                asking.fail(error)
                _log.error("status_poll_failed", exc_info=error, **_named(poll))
        _POLLS.labels(outcome).inc()
        return outcome

    async def _ask(self, poll: Poll) -> PollOutcome:
        source = await self._directory.find(self._source)
        if source is None:
            _log.error("provider_source_missing", source=self._source)
            return PollOutcome.NOT_ASKED
        if not await self._claims.submit(poll._replace(traceparent=current_traceparent())):
            return PollOutcome.NOT_ASKED
        outcome = PollOutcome.NO_ANSWER
        try:
            answers = self._read(source, await self._provider.ask(poll.trade_id), poll)
            outcome = await self._take(answers) if answers else PollOutcome.NO_NEWS
        finally:
            await polls.record(self._database, poll.trade_id, outcome)
        return outcome

    def _read(self, source: OpenSource, answer: ProviderAnswer, poll: Poll) -> list[Incoming]:
        """All that it reports, if all of it is a report on this trade. Raises NoAnswer when any is not."""
        if answer.trade_id != poll.trade_id:
            raise NoAnswer("it spoke of another trade")
        incoming = []
        for body in answer.bodies:
            try:
                event = self._intake.read(source, body)
            except DomainError as refusal:
                raise NoAnswer(f"it reported what would be refused as a webhook: {refusal.message}") from refusal
            if event.is_payin or event.transact_id != poll.trade_id:
                raise NoAnswer("it reported on something else")
            incoming.append(
                Incoming(
                    webhook_id=new_id("whe"),
                    source=source.name,
                    event=event,
                    fingerprint=event.fingerprint,
                    body=body,
                    request_id=poll.request_id,
                    traceparent=current_traceparent(),
                    signature_result="polled",
                )
            )
        return incoming

    async def _take(self, answers: Sequence[Incoming]) -> PollOutcome:
        with self._lane.watch([answer.webhook_id for answer in answers]) as tried:
            receipts = await self._intake.take_answers(answers)
            new = [
                future
                for future, receipt in zip(tried, receipts, strict=True)
                if isinstance(receipt, Receipt) and not receipt.duplicate
            ]
            if new:
                await asyncio.wait(new, timeout=APPLY_SECONDS_MAX)
        for receipt in receipts:
            # A conflict is kept, and an exception of the close, as a posted one is; the rest took its course.
            if isinstance(receipt, BaseException) and not isinstance(receipt, EventConflict):
                raise receipt
        return PollOutcome.NEWS

    async def _claim(self, batch: list[Poll]) -> list[bool]:
        claimed = await polls.claim(self._database, batch)
        return [poll.trade_id in claimed for poll in batch]


def _named(poll: Poll) -> dict[str, str]:
    return {"trade_id": poll.trade_id, **of_request(poll.request_id, current_traceparent())}
