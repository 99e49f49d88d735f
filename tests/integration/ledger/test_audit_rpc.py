"""Proofs as colleagues ask for them: streamed, bounded, and refused in words where the question makes no sense."""

from collections.abc import AsyncIterator

import pytest

from ledger.outbound.signing_key import SigningKey
from poolkit.errors import InvalidRequest
from pools.ledger.v1 import audit_pb2
from pools_contracts.ledger import LedgerClient
from tests.integration.databases import RunningPostgres
from tests.integration.ledger.audits import audit_session
from tests.integration.ledger.books import Books, open_books
from tests.integration.ledger.events import payin
from tests.integration.ledger.signing import new_key, sign
from tests.integration.ledger.tampering import save, tampered

ORGANIZATIONS = ["org_1", "org_2", "org_3"]


@pytest.fixture(scope="module")
async def signed(postgres: RunningPostgres) -> AsyncIterator[tuple[Books, SigningKey]]:
    """Books with three partners, signed."""
    async with open_books(postgres) as books:
        await books.apply(*[payin(organization) for organization in ORGANIZATIONS])
        key = new_key()
        await sign(books, key)
        await save(books)
        yield books, key


@pytest.fixture(scope="module")
async def client(signed: tuple[Books, SigningKey]) -> AsyncIterator[LedgerClient]:
    """The stubs, over a real server on loopback."""
    books, key = signed
    async with audit_session(books, key) as session:
        yield session.ledger


async def verified(client: LedgerClient, count_max: int = 0) -> list[audit_pb2.VerifyLedgerResponse]:
    request = audit_pb2.VerifyLedgerRequest(finding_count_max=count_max)
    return [step async for step in client.audit.VerifyLedger(request)]


async def test_verification_streams_progress_and_ends_with_its_summary(
    signed: tuple[Books, SigningKey], client: LedgerClient
) -> None:
    _, key = signed
    steps = await verified(client)
    assert [step.WhichOneof("step") for step in steps[:-1]] == ["progress"] * (len(steps) - 1)
    assert (steps[0].progress.phase, steps[0].progress.row_count, steps[0].progress.row_count_total) == (
        "transactions", 6, 6,
    )  # fmt: skip
    summary = steps[-1].summary
    assert summary.ok
    assert (summary.transaction_count, summary.entry_count, summary.chain_count) == (3, 6, 3)
    assert (summary.statement_count, list(summary.trusted_key_ids)) == (1, [key.key_id])
    assert summary.HasField("last_sign_time")


async def test_findings_beyond_the_asked_maximum_are_counted_only(
    signed: tuple[Books, SigningKey], client: LedgerClient
) -> None:
    books, _ = signed
    async with tampered(books, "UPDATE accounts SET balance = balance + 1 WHERE kind = 'partner'"):
        steps = await verified(client, count_max=1)
    [finding] = [step.finding for step in steps if step.HasField("finding")]
    assert (finding.table, finding.row_id, finding.what) == ("accounts", "partner:EUR:0:org_1", "balance")
    assert (finding.expected, finding.found) == ("1000.00", "1001.00")
    assert not steps[-1].summary.ok
    assert steps[-1].summary.finding_count == 3


async def test_more_findings_than_a_person_can_read_are_refused(client: LedgerClient) -> None:
    for count_max in (-1, 1_001):
        with pytest.raises(InvalidRequest, match="1 to 1000"):
            await verified(client, count_max)
