"""The way in for finance and on-call: `pools.ledger.v1.LedgerAdminService`."""

from ledger.app.read_books import get_trial_balance
from poolkit.database import Database
from poolkit.money import format_amount
from poolkit.rpc.types import Context
from pools.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from pools.types.v1 import types_pb2


class LedgerAdminService(ledger_pb2_grpc.LedgerAdminServiceServicer):
    """Reads the books as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetTrialBalance(  # noqa: N802 - the RPC's name
        self, request: ledger_pb2.GetTrialBalanceRequest, context: Context
    ) -> ledger_pb2.GetTrialBalanceResponse:
        """Sums every account per currency and kind."""
        trial = await get_trial_balance(self._database)
        return ledger_pb2.GetTrialBalanceResponse(
            lines=[
                ledger_pb2.TrialBalanceLine(
                    account_kind=line.kind,
                    amount=types_pb2.Money(amount=format_amount(line.amount, line.currency), currency=line.currency),
                    entry_count=line.entries,
                )
                for line in trial.lines
            ],
            balanced=trial.balanced,
            open_hold_count=trial.open_holds,
        )
