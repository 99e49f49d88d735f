"""The way in for the daily close: `pools.quote.v1.InventoryFactsService`."""

from poolkit.database import Database
from poolkit.money import format_amount
from poolkit.rpc.batches import own_context
from poolkit.rpc.facts import business_date
from poolkit.rpc.types import Context
from pools.quote.v1 import inventory_facts_pb2, inventory_facts_pb2_grpc
from pools.types.v1 import types_pb2
from quote.store import inventory_days
from quote.store.inventory_days import InventoryTotal


class InventoryFactsService(inventory_facts_pb2_grpc.InventoryFactsServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database, mode: str) -> None:
        self._database = database
        self._mode = mode

    async def GetInventoryTotals(  # noqa: N802 - the RPC's name
        self, request: inventory_facts_pb2.GetInventoryTotalsRequest, context: Context
    ) -> inventory_facts_pb2.GetInventoryTotalsResponse:
        """What lay in each pool at the end of a date."""
        own_context(request.context, self._mode, needs_organization=False)
        totals = await inventory_days.totals(self._database, business_date(request.business_date))
        return inventory_facts_pb2.GetInventoryTotalsResponse(totals=map(_total, totals))


def _total(total: InventoryTotal) -> inventory_facts_pb2.InventoryTotal:
    return inventory_facts_pb2.InventoryTotal(
        pool_id=total.pool_id,
        total=types_pb2.Money(amount=format_amount(total.amount, total.currency), currency=total.currency),
        movement_count=total.movement_count,
        date_movement_count=total.date_movement_count,
    )
