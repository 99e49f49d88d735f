"""The way in for those who allocate money: `pools.ledger.v1.FundingReferenceService`."""

from typing import Final

from ledger.app.funding_references import suggest_references
from poolkit.database import Database
from poolkit.errors import InvalidRequest
from poolkit.rpc.types import Context
from pools.ledger.v1 import funding_references_pb2, funding_references_pb2_grpc, ledger_pb2

TEXTS_MAX: Final = 100
TEXT_LENGTH_MAX: Final = 256


class FundingReferenceService(funding_references_pb2_grpc.FundingReferenceServiceServicer):
    """Translates and delegates; decides nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def SuggestFundingReferences(  # noqa: N802 - the RPC's name
        self, request: funding_references_pb2.SuggestFundingReferencesRequest, context: Context
    ) -> funding_references_pb2.SuggestFundingReferencesResponse:
        """Guesses what payers meant."""
        texts = list(request.texts)
        if not 1 <= len(texts) <= TEXTS_MAX or any(len(text) > TEXT_LENGTH_MAX for text in texts):
            raise InvalidRequest(f"send 1 to {TEXTS_MAX} texts of up to {TEXT_LENGTH_MAX} characters.", field="texts")
        return funding_references_pb2.SuggestFundingReferencesResponse(
            suggestions=[
                funding_references_pb2.FundingReferenceSuggestion(
                    references=[
                        ledger_pb2.FundingReference(
                            reference=each.reference, organization_id=each.organization_id, currency=each.currency
                        )
                        for each in found
                    ]
                )
                for found in await suggest_references(self._database, texts)
            ]
        )
