"""Owns how closes and their exceptions look in messages."""

from typing import Final

from ledger.domain.accounts import KINDS
from ledger.domain.amounts import text_of
from ledger.domain.close.findings import Ids, Sided
from ledger.domain.close.kinds import Kind
from ledger.domain.events import FAILED, OFF_RAMP, ON_RAMP, RELEASED, RETURNED, SETTLED
from ledger.domain.heads import SignedStatement
from ledger.store.close.closes import CloseRow
from ledger.store.close.exceptions import ExceptionRow
from poolkit.rpc.convert import MODES, from_time
from pools.ledger.v1 import close_pb2, ledger_pb2
from pools.types.v1 import types_pb2

KINDS_OUT: Final = {kind: close_pb2.ExceptionKind.Value(f"EXCEPTION_KIND_{kind.upper()}") for kind in Kind}
KINDS_IN: Final = {value: kind for kind, value in KINDS_OUT.items()}
_STATUSES: Final = {
    SETTLED: types_pb2.TRADE_STATUS_SETTLED,
    FAILED: types_pb2.TRADE_STATUS_FAILED,
    RELEASED: types_pb2.TRADE_STATUS_RELEASED,
    RETURNED: types_pb2.TRADE_STATUS_RETURNED,
}
_SIDES: Final = {ON_RAMP: types_pb2.SIDE_ON_RAMP, OFF_RAMP: types_pb2.SIDE_OFF_RAMP}


def close_message(close: CloseRow, signed: SignedStatement | None) -> close_pb2.Close:
    """A close as stored, with what was signed at it."""
    contents = close.contents
    return close_pb2.Close(
        close_id=close.close_id,
        business_date=close.business_date.isoformat(),
        mode=MODES[close.mode],
        revision=close.revision,
        provisional=close.provisional,
        cut_time=from_time(close.cut_at),
        create_time=from_time(close.created_at),
        content_hash=close.content_hash.hex(),
        trial_balance=[
            ledger_pb2.TrialBalanceLine(account_kind=kind, amount=_money(units, currency), entry_count=entries)
            for kind, units, currency, entries in sorted(
                contents.trial_balance, key=lambda line: (line[2], KINDS.index(line[0]))
            )
        ],
        balanced=contents.balanced,
        trade_totals=[
            close_pb2.TradeTotal(
                status=_STATUSES[status],
                side=_SIDES[side],
                trade_count=count,
                fiat=_money(fiat_units, fiat),
                fee=_money(fee_units, fiat),
                crypto=_money(crypto_units, crypto),
            )
            for status, side, fiat, crypto, count, fiat_units, fee_units, crypto_units in contents.trades
        ],
        payin_totals=[
            close_pb2.PayinTotal(
                payin_count=count,
                amount=_money(units, currency),
                unallocated_count=unallocated,
                unallocated_amount=_money(rest, currency),
            )
            for currency, count, units, unallocated, rest in contents.payins
        ],
        inventory=[
            close_pb2.InventoryLine(
                pool_id=pool_id,
                ledger=None if ledger is None else _money(ledger, currency),
                quote=None if quote is None else _money(quote, currency),
            )
            for pool_id, currency, ledger, quote in contents.inventory
        ],
        matched_count=close.matched_count,
        exception_count=close.exception_count,
        exception_totals=[
            close_pb2.ExceptionTotal(kind=KINDS_OUT[Kind(kind)], exception_count=count)
            for kind, count in contents.kinds.items()
        ],
        changes=close_pb2.CloseChanges(
            added_count=close.changes.added,
            removed_count=close.changes.removed,
            sentences=close.changes.sentences,
        )
        if close.changes
        else None,
        signature=_signature(signed) if signed else None,
        request_id=close.request_id,
        requested_by=close.requested_by,
    )


def exception_message(row: ExceptionRow) -> close_pb2.CloseException:
    """An exception as stored, with what a person does next."""
    return close_pb2.CloseException(
        number=row.number,
        kind=KINDS_OUT[row.kind],
        ids=_ids(row.ids),
        amounts=[_amount(sided) for sided in row.amounts],
        occur_time=from_time(row.occurred_at) if row.occurred_at else None,
        age_seconds=row.age_seconds,
        description=row.description,
        next_step=row.kind.next_step,
        runbook=row.kind.runbook,
        candidates=[
            close_pb2.ExceptionCandidate(
                number=candidate.number,
                kind=KINDS_OUT[candidate.kind],
                ids=_ids(candidate.ids),
                apart_seconds=candidate.apart_seconds,
            )
            for candidate in row.candidates
        ],
        fingerprint=row.fingerprint.hex(),
    )


def _signature(signed: SignedStatement) -> close_pb2.CloseSignature:
    statement = signed.statement
    return close_pb2.CloseSignature(
        statement_number=statement.number,
        key_id=statement.key_id,
        head_count=statement.head_count,
        heads_digest=statement.heads_digest.hex(),
        signature=signed.signature.hex(),
    )


def _ids(ids: Ids) -> close_pb2.ExceptionIds:
    return close_pb2.ExceptionIds(**ids.known)


def _amount(sided: Sided) -> close_pb2.ExceptionAmount:
    return close_pb2.ExceptionAmount(
        side=sided.side, of=sided.of, amount=_money(*sided.amount) if sided.amount else None
    )


def _money(units: int, currency: str) -> types_pb2.Money:
    return types_pb2.Money(amount=text_of(units, currency), currency=currency)
