"""Owns the JSON that commands make of answers: camelCase keys, lower-case enum names, null for what is unset."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from pools.gateway.v1 import admin_pb2, webhooks_pb2
from pools.ledger.v1 import audit_pb2, inbox_pb2
from pools.types.v1 import types_pb2
from pools.webhook_ingest.v1 import payins_pb2, webhook_ingest_pb2

Document = dict[str, Any]


def time_text(moment: Timestamp) -> str | None:
    """RFC 3339 in UTC with microseconds; None where the moment is not set."""
    if not moment.seconds and not moment.nanos:
        return None
    instant = datetime.fromtimestamp(moment.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{instant}.{moment.nanos // 1_000:06d}Z"


def entitlement(row: admin_pb2.Entitlement) -> Document:
    """What an organization may do."""
    return {
        "organizationId": row.organization_id,
        "mode": _word(types_pb2.Mode.Name(row.mode), "MODE_"),
        "status": _word(admin_pb2.EntitlementStatus.Name(row.status), "ENTITLEMENT_STATUS_"),
        "kyc": _word(admin_pb2.KycStatus.Name(row.kyc_status), "KYC_STATUS_"),
        "tier": row.tier,
        "allowedPools": list(row.pool_ids),
        "offRamp": row.off_ramp_enabled,
        "balanceGate": row.balance_gate_enabled,
        "notionalCaps": {cap.currency: cap.amount for cap in row.notional_caps},
    }


def api_key(row: admin_pb2.ApiKey) -> Document:
    """What is kept of a key."""
    return {
        "keyId": row.key_id,
        "organizationId": row.organization_id,
        "kind": _word(admin_pb2.KeyKind.Name(row.kind), "KEY_KIND_"),
        "label": row.label,
        "createdAt": time_text(row.create_time),
        "revokedAt": time_text(row.revoke_time),
        "expiresAt": time_text(row.expire_time),
        "replaces": row.replaces_key_id or None,
    }


def unallocated_payin(row: payins_pb2.UnallocatedPayin) -> Document:
    """Money that waits for its owner, and whose it may be."""
    return {
        "payinEventId": row.payin_event_id,
        "webhookId": row.webhook_id,
        "source": row.source,
        "bankTransactionId": row.bank_transaction_id,
        "fundingReference": row.funding_reference,
        "currency": row.amount.currency,
        "amount": row.amount.amount,
        "receivedAt": time_text(row.receive_time),
        "candidates": [
            {
                "organizationId": each.organization_id,
                "ground": _word(payins_pb2.CandidateGround.Name(each.ground), "CANDIDATE_GROUND_"),
                "evidence": each.evidence,
            }
            for each in row.candidates
        ],
    }


def allocated_payin(row: payins_pb2.AllocatePayinResponse, organization_id: str) -> Document:
    """Whose it is now."""
    return {
        "eventId": row.event_id,
        "payinEventId": row.payin_event_id,
        "organizationId": organization_id,
        "currency": row.amount.currency,
        "amount": row.amount.amount,
        "allocatedAt": time_text(row.allocate_time),
        "repeated": row.repeated_allocation,
    }


def parked_event(row: inbox_pb2.ParkedEvent) -> Document:
    """An event that waits for another."""
    return {
        "eventId": row.event_id,
        "type": row.type,
        "organizationId": row.organization_id,
        "requestId": row.request_id,
        "awaits": row.awaited_event_id,
        "tradeId": row.trade_id or None,
        "missingNumber": row.missing_number or None,
        "since": time_text(row.receive_time),
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
    }


def source(row: webhook_ingest_pb2.Source, webhooks: str) -> Document:
    """Someone who may post webhooks, and where to."""
    return {
        "name": row.name,
        "url": webhooks + row.path,
        "kinds": list(row.kinds),
        "activeSecrets": row.active_secret_count,
        "createdAt": time_text(row.create_time),
    }


def delivery(row: admin_pb2.Delivery) -> Document:
    """One event on its way to one endpoint, without its body."""
    return {
        "deliveryId": row.delivery_id,
        "eventId": row.event_id,
        "organizationId": row.organization_id,
        "endpointId": row.endpoint_id,
        "type": row.type,
        "state": _word(admin_pb2.DeliveryState.Name(row.state), "DELIVERY_STATE_"),
        "attempts": row.attempt_count,
        "lastStatusCode": row.last_status_code or None,
        "bodySha256": row.body_sha256,
        "createdAt": time_text(row.create_time),
        "deliveredAt": time_text(row.deliver_time),
        "tradeId": row.trade_id,
        "nextAttemptAt": time_text(row.next_attempt_time),
    }


def delivery_attempt(row: webhooks_pb2.DeliveryAttempt) -> Document:
    """How one attempt went."""
    return {
        "number": row.number,
        "statusCode": row.status_code or None,
        "failure": row.failure or None,
        "durationMs": row.duration_ms,
        "endedAt": time_text(row.end_time),
    }


def webhook_endpoint(row: webhooks_pb2.WebhookEndpoint) -> Document:
    """Where webhooks go, without the secrets that sign them."""
    disabled = bool(row.disabled_reason)
    return {
        "endpointId": row.endpoint_id,
        "organizationId": row.organization_id,
        "url": row.url,
        "state": "disabled" if disabled else "enabled",
        "disabledReason": _word(webhooks_pb2.DisabledReason.Name(row.disabled_reason), "DISABLED_REASON_")
        if disabled
        else None,
        "disabledAt": time_text(row.disable_time),
        "failingSince": time_text(row.failing_since_time),
        "activeSecrets": row.active_secret_count,
        "createdAt": time_text(row.create_time),
    }


def trade(row: types_pb2.Trade) -> Document:
    """A trade, in the shape that partners see."""
    return {
        "transactId": row.transact_id,
        "quoteId": row.quote_id,
        "poolId": row.pool_id,
        "side": _word(types_pb2.Side.Name(row.side), "SIDE_"),
        "status": _word(types_pb2.TradeStatus.Name(row.status), "TRADE_STATUS_"),
        "fiatCurrency": row.fiat.currency,
        "fiatAmount": row.fiat.amount,
        "cryptoCurrency": row.crypto.currency,
        "cryptoAmount": row.crypto.amount,
        "rate": row.rate,
        "spreadBps": row.spread_bps,
        "feeBps": row.fee_bps,
        "feeAmount": row.fee.amount,
        "network": row.network,
        "destinationAddress": row.destination_address or None,
        "depositAddress": row.deposit_address or None,
        "networkTransactionId": row.network_transaction_id or None,
        "clientReference": row.client_reference or None,
        "requestId": row.request_id,
        "reconciliationState": _word(
            types_pb2.ReconciliationState.Name(row.reconciliation_state), "RECONCILIATION_STATE_"
        ),
        "createdAt": time_text(row.create_time),
        "updatedAt": time_text(row.update_time),
        "terminalAt": time_text(row.terminal_time),
    }


def journey(identifier: str, answer: admin_pb2.FindJourneyResponse) -> Document:
    """Everything that happened to an id, in time order; or the journeys that carry it, newest first."""
    return {
        "id": identifier,
        "record": _product_record(answer.record) if answer.HasField("record") else None,
        "records": [_journey_record(row) for row in answer.records],
        "awaited": [_awaited(row) for row in answer.awaited],
        "journeys": [_journey_summary(row) for row in answer.journeys],
        "nextPageToken": answer.next_page_token or None,
        "traceIds": list(answer.trace_ids),
        "missingServices": list(answer.missing_services),
        "truncatedServices": list(answer.truncated_services),
    }


def _awaited(row: types_pb2.Awaited) -> Document:
    return {
        "what": row.what,
        "since": time_text(row.since_time),
        "due": time_text(row.due_time),
        "service": row.service,
        "id": row.record_id,
    }


def _journey_summary(row: admin_pb2.JourneySummary) -> Document:
    return {
        "organizationId": row.organization_id,
        "createdAt": time_text(row.create_time),
        "fiat": f"{row.fiat.amount} {row.fiat.currency}".strip(),
        "crypto": f"{row.crypto.amount} {row.crypto.currency}".strip(),
        "record": _product_record(row.record),
    }


def _journey_record(row: types_pb2.JourneyRecord) -> Document:
    return {
        "time": time_text(row.record_time),
        "service": row.service,
        "kind": row.kind,
        "id": row.record_id,
        "state": row.entered_state or None,
        "summary": row.summary,
        "ids": dict(row.ids),
        "facts": dict(row.facts),
        "traceparent": row.traceparent or None,
    }


def _product_record(row: admin_pb2.ProductRecord) -> Document:
    # Exactly the eight fields of the page's example, under its names.
    return {
        "product_area": row.product_area,
        "partner_reference": row.partner_reference,
        "pool_id": row.pool_id,
        "quote_id": row.quote_id,
        "transact_id": row.transact_id or None,
        "status": row.status,
        "request_id": row.request_id,
        "reconciliation_state": row.reconciliation_state,
    }


def ledger_finding(row: audit_pb2.LedgerFinding) -> Document:
    """A row of the ledger that is not as it must be."""
    return {
        "table": row.table,
        "id": row.row_id,
        "what": row.what,
        "expected": row.expected or None,
        "found": row.found or None,
    }


def balance_at(account: str, row: audit_pb2.GetBalanceAtResponse) -> Document:
    """What an account had at a moment, and the entry after which it had it."""
    return {
        "account": account,
        "currency": row.balance.currency,
        "balance": row.balance.amount,
        "entryId": row.entry_id or None,
        "sequence": row.sequence or None,
        "bookedAt": time_text(row.create_time),
    }


def verification(row: audit_pb2.VerificationSummary) -> Document:
    """What a verification of the ledger came to."""
    return {
        "ok": row.ok,
        "findingCount": row.finding_count,
        "transactions": row.transaction_count,
        "entries": row.entry_count,
        "accounts": row.account_count,
        "holds": row.hold_count,
        "chains": row.chain_count,
        "signedStatements": row.statement_count,
        "trustedKeyIds": list(row.trusted_key_ids),
        "lastSignedAt": time_text(row.last_sign_time) if row.HasField("last_sign_time") else None,
    }


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
