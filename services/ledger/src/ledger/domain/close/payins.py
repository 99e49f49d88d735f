"""Owns judging a pay-in: whether the bank's report and the ledger agree, and whose money it is.

Source: contract sections 7 and 8.
"""

from collections.abc import Iterator

from ledger.domain.accounts import UNALLOCATED
from ledger.domain.close.facts import LedgerEvent, PayinFact, PayinGroup, PayinRow
from ledger.domain.close.findings import LEDGER, REPORT, Finding, Ids, Sided, said_amount
from ledger.domain.close.kinds import Kind
from ledger.domain.close.trades import DEAD, PARKED, Limits

CREDITED = "credited"


def judge_payin(group: PayinGroup, limits: Limits) -> list[Finding]:
    """Everything that is wrong about one pay-in, each once."""
    findings = [finding for fact in group.facts for finding in _report(fact, limits)]
    credited = next((fact for fact in group.facts if fact.processing.effect == CREDITED), None)
    if credited is not None:
        findings += _against_ledger(credited, group.row, limits)
    elif group.row is not None and group.row.event.state == "applied" and not group.facts:
        row = group.row
        findings.append(
            Finding(
                Kind.POSTING_WITHOUT_TERMINAL_TRADE,
                _row_ids(row.event)._replace(ledger_transaction_id=row.transaction_id),
                "The ledger posted a pay-in that no bank reported on the date.",
                (Sided(LEDGER, "fiat", row.amount), Sided(REPORT, "fiat", None)),
                row.event.occurred_ms,
            )
        )
    return findings


def _report(fact: PayinFact, limits: Limits) -> Iterator[Finding]:
    processing = fact.processing
    amounts = (Sided(REPORT, "fiat", fact.amount), Sided(LEDGER, "fiat", None))
    if processing.state == "conflict":
        why = f"The bank told of it again with other fields: {processing.detail}"
        yield Finding(Kind.EVENT_ID_REUSED, _ids(fact), why, amounts, processing.received_ms)
    elif processing.state == "exception" or (
        processing.state == "received" and not limits.is_waiting_fairly(processing.received_ms)
    ):
        how = "is waiting still" if processing.state == "received" else "was given up"
        why = f"The report of {said_amount(fact.amount)} {how}: {processing.detail or 'no try yet'}"
        yield Finding(Kind.EVENT_NOT_PROCESSED, _ids(fact), why, amounts, processing.received_ms)


def _against_ledger(fact: PayinFact, row: PayinRow | None, limits: Limits) -> Iterator[Finding]:
    ids = _ids(fact)._replace(ledger_transaction_id=row.transaction_id if row else "")
    amounts = (Sided(REPORT, "fiat", fact.amount), Sided(LEDGER, "fiat", row.amount if row else None))
    received_ms = fact.processing.received_ms
    if row is None or row.event.state in {PARKED, DEAD}:
        # Parked and dead ones are listed with the rest of the inbox, which knows why.
        if row is None and not limits.is_waiting_fairly(received_ms):
            why = "The bank's report is published, and the ledger has not received it."
            yield Finding(Kind.EVENT_NOT_PROCESSED, ids, why, amounts, received_ms)
        return
    if row.amount != fact.amount or row.event.organization_id != fact.organization_id:
        why = (
            f"The bank reported {said_amount(fact.amount)} for {fact.organization_id}, and the ledger has "
            f"{said_amount(row.amount)} for {row.event.organization_id}."
        )
        yield Finding(Kind.AMOUNT_MISMATCH, ids, why, amounts, received_ms)
    if row.event.organization_id == UNALLOCATED and not row.allocated:
        why = f"{said_amount(row.amount)} came with a reference nobody knows, and nobody has allocated it."
        yield Finding(Kind.PAYIN_WITHOUT_KNOWN_REFERENCE, ids, why, amounts, received_ms)


def _ids(fact: PayinFact) -> Ids:
    return Ids(
        organization_id=fact.organization_id,
        event_id=fact.event_id,
        webhook_id=fact.webhook_id,
        source=fact.source,
        provider_event_id=fact.provider_event_id,
        request_id=fact.processing.request_id,
        bank_transaction_id=fact.bank_transaction_id,
        funding_reference=fact.funding_reference,
    )


def _row_ids(event: LedgerEvent) -> Ids:
    return Ids(organization_id=event.organization_id, event_id=event.event_id, request_id=event.request_id)
