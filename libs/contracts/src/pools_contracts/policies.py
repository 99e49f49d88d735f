"""How every RPC may be called: its deadline, and whether a call that broke off may be repeated by itself.

A test fails for an RPC that is missing here, so that whoever adds one has to decide.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

# Three attempts in all, and only when the connection broke or could not be made. A server that was reached and answers
# UNAVAILABLE forbids the repeat itself (`grpc-retry-pushback-ms: -1`), so that retries never multiply over the hops.
RETRY_POLICY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
)
# When more than half of the recent calls failed, stop repeating altogether.
RETRY_THROTTLING: Final[Mapping[str, Any]] = MappingProxyType({"maxTokens": 100, "tokenRatio": 0.1})


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """The rules of one service: `repeatable` methods may be sent again after UNAVAILABLE, `once` methods may not."""

    deadline_seconds: float
    repeatable: tuple[str, ...]
    once: tuple[str, ...] = ()


POLICIES: Final[Mapping[str, ServicePolicy]] = MappingProxyType(
    {
        "pools.gateway.v1.PartnerService": ServicePolicy(
            deadline_seconds=3.0,
            # TransactQuote is idempotent by its key.
            repeatable=(
                "ListPools",
                "GetCapabilities",
                "GetBalance",
                "GetFunding",
                "GetQuote",
                "TransactQuote",
                "GetTransaction",
                "ListTrades",
                "GetTrade",
                "ListLedgerEntries",
            ),
            # A second quote would hold inventory twice; a second rejection would answer that it was rejected.
            once=("CreateQuote", "RejectQuote"),
        ),
        "pools.gateway.v1.AdminService": ServicePolicy(
            deadline_seconds=5.0,
            repeatable=("GetEntitlement", "UpdateEntitlement", "ListKeys", "RevokeKey", "ListDeliveries"),
            once=("CreateOrganization", "CreateKey", "RotateKey", "CreateWebhookEndpoint"),
        ),
        "pools.gateway.v1.WebhookService": ServicePolicy(
            deadline_seconds=5.0,
            repeatable=("ListWebhookEndpoints", "DisableWebhookEndpoint", "EnableWebhookEndpoint", "GetDelivery"),
            # A second secret would never be seen by anyone; a second replay posts what the first has posted.
            once=("RotateWebhookSecret", "ReplayDelivery", "ReplayDeliveries"),
        ),
        "pools.gateway.v1.SupportService": ServicePolicy(deadline_seconds=5.0, repeatable=("FindJourney",)),
        "pools.quote.v1.QuoteService": ServicePolicy(
            deadline_seconds=2.0,
            repeatable=("ListPools", "GetQuotes", "ConsumeQuotes", "GiveBackQuotes"),
            once=("CreateQuotes", "RejectQuotes"),
        ),
        "pools.quote.v1.QuoteAdminService": ServicePolicy(
            deadline_seconds=5.0, repeatable=("PublishRates", "MoveTreasury", "ListInventory")
        ),
        "pools.trade.v1.TradeService": ServicePolicy(
            deadline_seconds=2.0,
            repeatable=(
                "TransactQuotes",
                "GetTransactions",
                "GetTrades",
                "ListTrades",
                "ReportSettlements",
                "ListOverdueTrades",
            ),
        ),
        "pools.trade.v1.DepositAddressService": ServicePolicy(
            deadline_seconds=5.0, repeatable=("AddDepositAddresses",)
        ),
        # Streams of a day's facts, read as fast as they are merged.
        "pools.trade.v1.TradeFactsService": ServicePolicy(
            deadline_seconds=600.0, repeatable=("StreamTradeFacts", "StreamOpenTrades")
        ),
        "pools.webhook_ingest.v1.ReportFactsService": ServicePolicy(
            deadline_seconds=600.0, repeatable=("StreamReportFacts", "StreamPayinFacts")
        ),
        "pools.quote.v1.InventoryFactsService": ServicePolicy(
            deadline_seconds=10.0, repeatable=("GetInventoryTotals",)
        ),
        "pools.trade.v1.ReconciliationService": ServicePolicy(
            deadline_seconds=10.0, repeatable=("SetReconciliationStates",)
        ),
        "pools.trade.v1.TradeAdminService": ServicePolicy(deadline_seconds=5.0, repeatable=("ResolveTrade",)),
        "pools.webhook_ingest.v1.WebhookAdminService": ServicePolicy(
            deadline_seconds=5.0, repeatable=("ListSources", "ListWebhooks"), once=("CreateSource", "RotateSource")
        ),
        "pools.webhook_ingest.v1.SettlementStatusService": ServicePolicy(
            deadline_seconds=2.0, repeatable=("PollSettlements",)
        ),
        "pools.ledger.v1.LedgerService": ServicePolicy(
            deadline_seconds=2.0,
            repeatable=(
                "PlaceHolds",
                "VoidHolds",
                "GetBalances",
                "ListEntries",
                "EnsureFundingReferences",
                "LookUpFundingReferences",
            ),
        ),
        "pools.ledger.v1.LedgerAdminService": ServicePolicy(deadline_seconds=10.0, repeatable=("GetTrialBalance",)),
        # Streams of the whole ledger, as long as it is.
        "pools.ledger.v1.AuditService": ServicePolicy(
            deadline_seconds=3_600.0, repeatable=("VerifyLedger", "GetBalanceAt", "ExportLedger")
        ),
        # A run that broke off is run again: it makes no second close of the same contents.
        "pools.ledger.v1.CloseService": ServicePolicy(
            deadline_seconds=900.0, repeatable=("RunClose", "GetClose", "ListCloses", "StreamCloseExceptions")
        ),
        "pools.types.v1.JourneyService": ServicePolicy(
            deadline_seconds=3.0, repeatable=("FindRecords", "ListJourneys")
        ),
        "pools.ledger.v1.InboxService": ServicePolicy(deadline_seconds=5.0, repeatable=("ListParkedEvents",)),
        "pools.ledger.v1.FundingReferenceService": ServicePolicy(
            deadline_seconds=2.0, repeatable=("SuggestFundingReferences",)
        ),
        "pools.webhook_ingest.v1.PayinService": ServicePolicy(
            deadline_seconds=5.0, repeatable=("ListUnallocatedPayins", "AllocatePayin")
        ),
        # Whoever streams all of an outbox says how long that may take.
        "pools.types.v1.OutboxService": ServicePolicy(
            deadline_seconds=5.0, repeatable=("GetOutboxWatermark", "StreamEvents")
        ),
    }
)

DEADLINE_SECONDS_DEFAULT: Final = 2.0


def deadline_seconds(path: str) -> float:
    """The deadline of a method by its path, `/pools.quote.v1.QuoteService/GetQuotes`."""
    policy = POLICIES.get(path.lstrip("/").partition("/")[0])
    return policy.deadline_seconds if policy else DEADLINE_SECONDS_DEFAULT


def service_config(service: str = "") -> str:
    """The gRPC service config for all of it: round robin over the addresses found, and retries.

    Where `service` is named, calls go only to replicas whose health says that they take that service's calls: one that
    is about to stop says so before it does, so that not even a call that may not be repeated ends up there.

    Deadlines are not in it, but set call by call (`channel`): a config's timeout is not told to the server, and it is
    counted from a start time read off the CPU's cycle counter, which on virtual machines made 2 s fire after 0.6 s.
    """
    methods = [
        {
            "name": [{"service": service, "method": method} for method in policy.repeatable],
            "retryPolicy": dict(RETRY_POLICY),
        }
        for service, policy in POLICIES.items()
        if policy.repeatable
    ]
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": methods,
        "retryThrottling": dict(RETRY_THROTTLING),
    }
    if service:
        config["healthCheckConfig"] = {"serviceName": service}
    return json.dumps(config)
