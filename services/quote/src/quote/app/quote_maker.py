"""Gathers the calls that make quotes, since all quotes of a pool go through the same two rows, one after another."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from poolkit.batching import Batcher
from poolkit.database import Database
from quote.app.create_quotes import Answer, PlacedOrder, create_quotes

CALLS_MAX: Final = 32
"""Calls written together, each of up to 256 orders."""


class QuoteMaker:
    """Makes quotes for many callers at once, one batch at a time, without ever waiting for more of them.

    What a caller already sent as a batch stays together and costs nothing more; callers that send singly share
    transactions instead of queueing for the rows, which makes a quote three times as cheap at 64 of them.
    """

    def __init__(self, database: Database, mode: str) -> None:
        self._database = database
        self._mode = mode
        self._calls: Batcher[Sequence[PlacedOrder], list[Answer]] = Batcher("quotes", self._create, size_max=CALLS_MAX)

    async def __call__(self, placed: Sequence[PlacedOrder]) -> list[Answer]:
        """Prices each order, in order; one that cannot be made fails alone. Not idempotent.

        Raises Overloaded when too many calls wait.
        """
        return await self._calls.submit(placed)

    async def drain(self) -> None:
        """Takes no more calls, and returns when those that were taken are answered."""
        await self._calls.drain()

    async def _create(self, calls: Sequence[Sequence[PlacedOrder]]) -> list[list[Answer]]:
        together = [order for call in calls for order in call]
        answers = iter(await create_quotes(self._database, together, mode=self._mode))
        return [list(islice(answers, len(call))) for call in calls]
