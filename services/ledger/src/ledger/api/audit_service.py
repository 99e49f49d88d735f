"""The way in for whoever wants the books proved: `pools.ledger.v1.AuditService`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC
from typing import Final

from ledger.api import requests
from ledger.app.balance_at import Moment, own_balance_at, partner_balance_at
from ledger.app.verify_ledger import Progress, Summary, VerifyLedger
from ledger.domain.findings import Finding
from ledger.domain.identities import entry_id
from ledger.store.exports import ExportedTransaction, read_chain
from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.money import format_amount
from poolkit.rpc.batches import own_context
from poolkit.rpc.convert import from_time
from poolkit.rpc.types import Context
from pools.ledger.v1 import audit_pb2, audit_pb2_grpc
from pools.types.v1 import types_pb2

FINDINGS: Final = 100
FINDINGS_MAX: Final = 1_000


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, verify: VerifyLedger, *, mode: str) -> None:
        self._database = database
        self._verify = verify
        self._mode = mode

    async def VerifyLedger(  # noqa: N802 - the RPC's name
        self, request: audit_pb2.VerifyLedgerRequest, context: Context
    ) -> AsyncIterator[audit_pb2.VerifyLedgerResponse]:
        """Checks the whole ledger and streams what it finds."""
        count_max = request.finding_count_max or FINDINGS
        if not 1 <= count_max <= FINDINGS_MAX:
            raise InvalidRequest(f"it must be 1 to {FINDINGS_MAX}, not {count_max}.", field="finding_count_max")
        count = 0
        async with aclosing(self._verify()) as steps:
            async for step in steps:
                if isinstance(step, Progress):
                    yield audit_pb2.VerifyLedgerResponse(progress=audit_pb2.VerificationProgress(**step._asdict()))
                elif isinstance(step, Summary):
                    yield audit_pb2.VerifyLedgerResponse(summary=_summary(step, count))
                else:
                    count += 1
                    if count <= count_max:
                        yield audit_pb2.VerifyLedgerResponse(finding=_finding(step))

    async def GetBalanceAt(  # noqa: N802 - the RPC's name
        self, request: audit_pb2.GetBalanceAtRequest, context: Context
    ) -> audit_pb2.GetBalanceAtResponse:
        """Reads what an account had."""
        moment = _moment(request)
        if request.HasField("partner"):
            currency = requests.currency(request.partner.currency)
            if not request.partner.organization_id:
                raise InvalidRequest("it is missing; name an organization.", field="partner.organization_id")
            found = await partner_balance_at(self._database, request.partner.organization_id, currency, moment)
        elif request.HasField("system"):
            system, currency = request.system, requests.currency(request.system.currency)
            found = await own_balance_at(self._database, system.account_kind, currency, system.pool_id, moment)
        else:
            raise InvalidRequest("it is missing; name a partner's account or one of our own.", field="account")
        return audit_pb2.GetBalanceAtResponse(
            balance=types_pb2.Money(amount=format_amount(found.balance, currency), currency=currency),
            entry_id=found.entry_id,
            sequence=found.sequence,
            create_time=from_time(found.created_at) if found.created_at else None,
        )

    async def ExportLedger(  # noqa: N802 - the RPC's name
        self, request: audit_pb2.ExportLedgerRequest, context: Context
    ) -> AsyncIterator[audit_pb2.ExportLedgerResponse]:
        """Streams an organization's chain."""
        own = own_context(request.context, self._mode)
        after = request.after_sequence
        if after < 0:
            raise InvalidRequest("it is negative; 0 begins with the first.", field="after_sequence")
        while page := await read_chain(self._database, own.organization_id, after_sequence=after):
            after = page[-1].sequence
            yield audit_pb2.ExportLedgerResponse(transactions=[_exported(row) for row in page])


def _moment(request: audit_pb2.GetBalanceAtRequest) -> Moment:
    if request.HasField("instant"):
        try:
            return request.instant.ToDatetime(UTC)
        except (ValueError, OverflowError):
            raise InvalidRequest("it is no time.", field="instant") from None
    if not request.entry_id:
        raise InvalidRequest("it is missing; name an entry or an instant.", field="moment")
    return request.entry_id


def _exported(row: ExportedTransaction) -> audit_pb2.ExportedTransaction:
    exported = audit_pb2.ExportedTransaction(
        sequence=row.sequence,
        ledger_transaction_id=row.id,
        business_date=row.business_date.isoformat(),
        reason=row.reason,
        event_id=row.event_id,
        trade_id=row.trade_id,
        quote_id=row.quote_id,
        request_id=row.request_id,
        client_reference=row.client_reference,
        others_digest=row.others.hex(),
        link=row.link.hex(),
        create_time=from_time(row.created_at),
    )
    if row.own_leg is not None:
        currency = row.currency or ""
        exported.entry_id = entry_id(row.id, row.own_leg)
        exported.amount.CopyFrom(types_pb2.Money(amount=row.amount or "", currency=currency))
        exported.balance_after.CopyFrom(types_pb2.Money(amount=row.balance_after or "", currency=currency))
    return exported


def _finding(finding: Finding) -> audit_pb2.LedgerFinding:
    return audit_pb2.LedgerFinding(**finding._asdict())


def _summary(summary: Summary, finding_count: int) -> audit_pb2.VerificationSummary:
    return audit_pb2.VerificationSummary(
        ok=not finding_count,
        finding_count=finding_count,
        transaction_count=summary.transactions,
        entry_count=summary.entries,
        account_count=summary.accounts,
        hold_count=summary.holds,
        chain_count=summary.chains,
        statement_count=summary.statements,
        trusted_key_ids=summary.trusted_key_ids,
        last_sign_time=from_time(summary.last_signed_at) if summary.last_signed_at else None,
    )
