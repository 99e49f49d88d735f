"""Owns how a partner's chain is written: one row a transaction, under the partner API's names, as CSV or JSON lines."""

import csv
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple, TextIO

from poolctl.commands.documents import time_text
from poolctl.session import Session
from pools.ledger.v1 import audit_pb2
from pools.types.v1 import types_pb2

COLUMNS: Final = (
    "sequence", "id", "ref", "organizationId", "businessDate", "reason", "currency", "delta", "balanceAfter",
    "transactId", "quoteId", "eventId", "requestId", "clientReference", "othersDigest", "link", "createdAt",
)  # fmt: skip
"""`id` is the entry's; empty, like `currency`, `delta` and `balanceAfter`, where the organization has none."""


class Written(NamedTuple):
    """What an export holds."""

    transactions: int
    last_link: str
    """Empty where there is nothing yet."""


async def write_export(session: Session, organization_id: str, form: str, target: TextIO) -> Written:
    """Writes the chain from its beginning; memory is flat."""
    write = FORMATS[form](target)
    count, link = 0, ""
    async for transaction in _chain(session, organization_id):
        write(_row(organization_id, transaction))
        count, link = count + 1, transaction.link
    return Written(count, link)


def _csv(target: TextIO) -> Callable[[dict[str, Any]], object]:
    table = csv.DictWriter(target, COLUMNS, lineterminator="\n")
    table.writeheader()
    return table.writerow


def _json_lines(target: TextIO) -> Callable[[dict[str, Any]], object]:
    return lambda row: target.write(json.dumps(row, ensure_ascii=False) + "\n")


FORMATS: Final = {"csv": _csv, "jsonl": _json_lines}


async def _chain(session: Session, organization_id: str) -> AsyncIterator[audit_pb2.ExportedTransaction]:
    context = types_pb2.RequestContext(
        request_id=session.request_id, organization_id=organization_id, mode=session.mode
    )
    async for part in session.ledger.audit.ExportLedger(audit_pb2.ExportLedgerRequest(context=context)):
        for transaction in part.transactions:
            yield transaction


def _row(organization_id: str, row: audit_pb2.ExportedTransaction) -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "id": row.entry_id or None,
        "ref": row.ledger_transaction_id,
        "organizationId": organization_id,
        "businessDate": row.business_date,
        "reason": row.reason,
        "currency": row.amount.currency or None,
        "delta": row.amount.amount or None,
        "balanceAfter": row.balance_after.amount or None,
        "transactId": row.trade_id or None,
        "quoteId": row.quote_id or None,
        "eventId": row.event_id,
        "requestId": row.request_id,
        "clientReference": row.client_reference or None,
        "othersDigest": row.others_digest,
        "link": row.link,
        "createdAt": time_text(row.create_time),
    }
