"""The audit service over a real server on loopback, for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ledger.api.audit_service import AuditService
from ledger.app.verify_ledger import VerifyLedger
from ledger.outbound.signing_key import SigningKey, TrustedKeys
from poolctl.session import Addresses, Session
from poolkit.rpc.server import RpcServer
from pools.ledger.v1 import audit_pb2_grpc
from tests.integration.ledger.books import Books


@asynccontextmanager
async def audit_session(books: Books, *keys: SigningKey) -> AsyncIterator[Session]:
    """What a command has of a stack, of which only the ledger's audit is there."""
    server = RpcServer("127.0.0.1:0", name="internal")
    verify = VerifyLedger(books.database, TrustedKeys(key.public_key for key in keys), books.decode, mode="test")
    servicer = AuditService(books.database, verify, mode="test")
    server.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, servicer)
    ledger = f"127.0.0.1:{await server.start()}"
    addresses = Addresses("", "", "", {"ledger": ledger}, {}, {}, "", Path())
    try:
        async with Session(addresses) as session:
            yield session
    finally:
        await server.stop(0)
