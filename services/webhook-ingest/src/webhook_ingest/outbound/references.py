"""Owns the conversation with the ledger: whose a funding reference is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolkit.errors import DomainError
from poolkit.rpc.convert import error_from_refusal
from pools.ledger.v1 import funding_references_pb2, funding_references_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from webhook_ingest.app.ports import SuggestedReference

REFERENCES_MAX: Final = 100


class FundingReferencesClient:
    """Fulfils `webhook_ingest.app.ports.FundingReferences`."""

    def __init__(
        self,
        stub: ledger_pb2_grpc.LedgerServiceAsyncStub,
        suggesting: funding_references_pb2_grpc.FundingReferenceServiceAsyncStub,
    ) -> None:
        self._stub = stub
        self._suggesting = suggesting

    async def look_up(self, references: Sequence[str]) -> list[str | DomainError]:
        """Asks for at most a hundred at once; a pure read."""
        answers: list[str | DomainError] = []
        for first in range(0, len(references), REFERENCES_MAX):
            request = ledger_pb2.LookUpFundingReferencesRequest(references=references[first : first + REFERENCES_MAX])
            response = await self._stub.LookUpFundingReferences(request)
            answers += [_owner(result) for result in response.results]
        return answers

    async def suggest(self, texts: Sequence[str]) -> list[list[SuggestedReference]]:
        """Asks for at most a hundred at once; a pure read."""
        suggestions: list[list[SuggestedReference]] = []
        for first in range(0, len(texts), REFERENCES_MAX):
            request = funding_references_pb2.SuggestFundingReferencesRequest(
                texts=texts[first : first + REFERENCES_MAX]
            )
            response = await self._suggesting.SuggestFundingReferences(request)
            suggestions += [
                [SuggestedReference(each.reference, each.organization_id, each.currency) for each in found.references]
                for found in response.suggestions
            ]
        return suggestions


def _owner(result: ledger_pb2.FundingReferenceResult) -> str | DomainError:
    if result.HasField("refusal"):
        return error_from_refusal(result.refusal)
    return result.reference.organization_id
