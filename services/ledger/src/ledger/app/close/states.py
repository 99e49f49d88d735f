"""Owns remembering what trades are to be told while a date is compared, in a few bytes a trade and within a bound."""

from collections.abc import Iterator
from typing import Final

from ledger.domain.close.facts import TradeGroup
from ledger.domain.close.findings import Finding

MATCHED: Final = "matched"
EXCEPTION: Final = "exception"

BATCH_TRADES: Final = 1_000
BYTES_MAX: Final = 64 * 1024 * 1024
"""Enough for 1.8 million trades; past it they are asked for a second time instead."""


class States:
    """Trades whose state is another than what they say, in the order in which they were found."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._lines = bytearray()
        self._bytes_max = bytes_max
        self.complete = True
        """False once it was too much to remember."""
        self.counts = {MATCHED: 0, EXCEPTION: 0}

    def add_group(self, group: TradeGroup, findings: list[Finding]) -> None:
        """What a trade's owner is told: matched where it ended and nothing is wrong, exception where anything is."""
        if group.ended is None and not findings:
            return
        state = EXCEPTION if findings else MATCHED
        self.counts[state] += 1
        if group.ended is None or group.ended.reconciliation_state != state:
            self._add(group.trade_id, state)

    def add_findings(self, findings: list[Finding]) -> None:
        """Trades that something is wrong with which was found elsewhere."""
        for finding in findings:
            if finding.ids.trade_id:
                self.counts[EXCEPTION] += 1
                self._add(finding.ids.trade_id, EXCEPTION)

    def batches(self) -> Iterator[list[tuple[str, str]]]:
        """Trade ids with their states, in the order added, 1,000 at most at a time."""
        batch: list[tuple[str, str]] = []
        start = 0
        while (end := self._lines.find(b"\n", start)) >= 0:
            trade_id, _, state = self._lines[start:end].decode().partition(" ")
            batch.append((trade_id, EXCEPTION if state else MATCHED))
            start = end + 1
            if len(batch) == BATCH_TRADES:
                yield batch
                batch = []
        if batch:
            yield batch

    def _add(self, trade_id: str, state: str) -> None:
        if len(self._lines) > self._bytes_max:
            self.complete = False
            self._lines = bytearray()
        if self.complete:
            self._lines += f"{trade_id} {'!' if state == EXCEPTION else ''}\n".encode()
