"""Who may call what: one table from each RPC service to the callers it serves; nobody else is served.

A caller is the DNS name in its certificate. Partners are no callers in this sense: they come with API keys, on a port
of their own. Source: ARCHITECTURE section 2; docs/identity.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from poolkit.rpc.types import Context

GATEWAY: Final = "gateway"
QUOTE: Final = "quote"
TRADE: Final = "trade"
WEBHOOK_INGEST: Final = "webhook-ingest"
LEDGER: Final = "ledger"
OPERATOR: Final = "operator"
"""People and programs of operations: who provisions, supports, closes, feeds rates, moves treasury."""
INTERNAL: Final = "internal"
"""The company's other services, which trade and read for an organization as a partner would."""
SANDBOX: Final = "sandbox"
"""The simulated provider, treasury and rate feed; served in mode `test` only."""

CALLERS: Final = frozenset({GATEWAY, QUOTE, TRADE, WEBHOOK_INGEST, LEDGER, OPERATOR, INTERNAL, SANDBOX})
"""Everybody who has a certificate."""

ALLOWED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        path: frozenset(callers)
        for path, callers in {
            # Served on the partners' port, where API keys decide.
            "pools.gateway.v1.PartnerService": (),
            "pools.gateway.v1.AdminService": (OPERATOR,),
            "pools.gateway.v1.WebhookService": (OPERATOR,),
            "pools.gateway.v1.SupportService": (OPERATOR, INTERNAL),
            "pools.quote.v1.QuoteService": (GATEWAY, INTERNAL),
            "pools.quote.v1.QuoteService/ListPools": (GATEWAY, INTERNAL, SANDBOX),
            "pools.quote.v1.QuoteService/ConsumeQuotes": (TRADE,),
            "pools.quote.v1.QuoteService/GiveBackQuotes": (TRADE,),
            "pools.quote.v1.QuoteAdminService": (OPERATOR, SANDBOX),
            "pools.quote.v1.InventoryFactsService": (LEDGER,),
            "pools.trade.v1.TradeService": (GATEWAY, INTERNAL),
            "pools.trade.v1.TradeService/ReportSettlements": (WEBHOOK_INGEST,),
            "pools.trade.v1.TradeService/ListOverdueTrades": (WEBHOOK_INGEST,),
            "pools.trade.v1.DepositAddressService": (OPERATOR, SANDBOX),
            "pools.trade.v1.TradeFactsService": (LEDGER,),
            "pools.trade.v1.ReconciliationService": (LEDGER,),
            "pools.trade.v1.TradeAdminService": (OPERATOR,),
            "pools.webhook_ingest.v1.WebhookAdminService": (OPERATOR,),
            "pools.webhook_ingest.v1.PayinService": (OPERATOR,),
            "pools.webhook_ingest.v1.SettlementStatusService": (GATEWAY,),
            "pools.webhook_ingest.v1.ReportFactsService": (LEDGER,),
            "pools.ledger.v1.LedgerService": (GATEWAY, OPERATOR, INTERNAL),
            "pools.ledger.v1.LedgerService/PlaceHolds": (TRADE,),
            "pools.ledger.v1.LedgerService/VoidHolds": (TRADE,),
            "pools.ledger.v1.LedgerService/EnsureFundingReferences": (GATEWAY, OPERATOR),
            "pools.ledger.v1.LedgerService/LookUpFundingReferences": (WEBHOOK_INGEST,),
            "pools.ledger.v1.FundingReferenceService": (WEBHOOK_INGEST,),
            "pools.ledger.v1.LedgerAdminService": (OPERATOR,),
            "pools.ledger.v1.AuditService": (OPERATOR,),
            "pools.ledger.v1.CloseService": (OPERATOR,),
            "pools.ledger.v1.InboxService": (OPERATOR,),
            "pools.types.v1.JourneyService": (GATEWAY,),
            "pools.types.v1.OutboxService": (LEDGER,),
        }.items()
    }
)
"""By the RPC service's full name; a method with a row of its own goes by that row alone."""

_BY_NAME: Final = "x509_subject_alternative_name"


def allowed_callers(path: str, mode: str) -> frozenset[bytes]:
    """Whom a method serves, by its path `/pools.quote.v1.QuoteService/GetQuotes`; nobody where the table is silent."""
    name = path.lstrip("/")
    callers = ALLOWED.get(name)
    if callers is None:
        callers = ALLOWED.get(name.partition("/")[0], frozenset())
    if mode == "live":
        callers -= {SANDBOX}
    return frozenset(caller.encode() for caller in callers)


def proven_names(context: Context) -> tuple[bytes, ...]:
    """The names in the certificate that the caller proved to own; none where it has only a common name, which is not
    what certificates are issued by. Half a microsecond: the connection's handshake has looked at all the rest."""
    if context.peer_identity_key() != _BY_NAME:
        return ()
    return tuple(context.peer_identities() or ())
