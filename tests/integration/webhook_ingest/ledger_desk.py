"""The real ledger service in this process, with funding references on demand."""

from ledger.main import build
from ledger.settings import LedgerSettings
from poolkit.database import Database
from poolkit.ids import new_id
from poolkit.runtime import Runtime
from pools.ledger.v1 import ledger_pb2
from pools.types.v1 import types_pb2
from pools_contracts.ledger import LedgerClient, connect
from tests.integration.webhook_ingest.door import NOWHERE


class LedgerDesk:
    """What tests ask of the ledger."""

    def __init__(self, runtime: Runtime[LedgerSettings], database: Database, client: LedgerClient) -> None:
        self.runtime = runtime
        self.database = database
        self.client = client

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.runtime.rpc.port}"

    async def reference(self, currency: str = "EUR") -> tuple[str, str]:
        """A new organization and its funding reference."""
        organization_id = new_id("org")
        item = ledger_pb2.FundingReferenceItem(context=_context(organization_id), currency=currency)
        request = ledger_pb2.EnsureFundingReferencesRequest(items=[item])
        response = await self.client.ledger.EnsureFundingReferences(request)
        return organization_id, response.references[0].reference

    async def posted(self, organization_id: str, currency: str = "EUR") -> str:
        """The sum of an organization's entries."""
        item = ledger_pb2.GetBalancesItem(context=_context(organization_id), currency=currency)
        response = await self.client.ledger.GetBalances(ledger_pb2.GetBalancesRequest(items=[item]))
        return response.balances[0].posted.amount


def _context(organization_id: str) -> types_pb2.RequestContext:
    return types_pb2.RequestContext(request_id="req_1", organization_id=organization_id, mode=types_pb2.MODE_TEST)


async def open_ledger_desk(url: str, *, listen: str = "127.0.0.1:0", bootstrap: str = NOWHERE) -> LedgerDesk:
    """Starts the ledger; without a broker it still knows whose a reference is."""
    settings = LedgerSettings(
        mode="test",
        database_url=url,  # type: ignore[arg-type]
        kafka_bootstrap=bootstrap,
        grpc_listen=listen,
        drain_seconds=1.0,
    )
    runtime = Runtime("ledger", settings)
    await runtime.start(build)
    return LedgerDesk(runtime, Database(url, application_name="test"), connect(f"127.0.0.1:{runtime.rpc.port}"))


async def close_ledger_desk(desk: LedgerDesk) -> None:
    await desk.client.close()
    await desk.runtime.stop()
    await desk.database.close()
