"""Sources, the webhooks they send, every try to process one, and the outbox that tells of pay-ins."""

from alembic import op

from poolkit import leases, outbox
from poolkit.migrations import runtime_role

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE sources (
    name             text PRIMARY KEY,
    kinds            text[] NOT NULL CHECK (cardinality(kinds) > 0),
    scheme           text NOT NULL DEFAULT 'standard' CHECK (scheme IN ('standard', 'timed_hex', 'hex')),
    signature_header text NOT NULL DEFAULT '',
    request_id       text NOT NULL,
    traceparent      text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE sources IS 'Who may post webhooks, of which kinds, signed how.';

CREATE TABLE source_secrets (
    secret_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL REFERENCES sources,
    encrypted   bytea NOT NULL,
    expires_at  timestamptz,
    request_id  text NOT NULL,
    traceparent text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN source_secrets.expires_at IS 'Null until a rotation: then the end of the overlap.';
CREATE INDEX source_secrets_source ON source_secrets (source);

CREATE TABLE webhooks (
    webhook_id             text PRIMARY KEY,
    source                 text NOT NULL,
    provider_event_id      text NOT NULL,
    kind                   text NOT NULL,
    transact_id            text NOT NULL,
    network_transaction_id text NOT NULL,
    currency               text NOT NULL,
    amount                 numeric CHECK (amount > 0),
    funding_reference      text NOT NULL,
    bank_transaction_id    text NOT NULL,
    payin_event_id         text NOT NULL,
    occurred_at            timestamptz NOT NULL,
    fingerprint            bytea NOT NULL,
    signature_result       text NOT NULL DEFAULT 'valid',
    first_webhook_id       text,
    refusal_reason         text NOT NULL DEFAULT '' CHECK (refusal_reason IN ('', 'event_conflict', 'payin_conflict')),
    body                   bytea NOT NULL,
    request_id             text NOT NULL,
    traceparent            text NOT NULL,
    received_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (refusal_reason = '' OR first_webhook_id IS NOT NULL)
);
COMMENT ON TABLE webhooks IS 'What came and was signed well, as it came. Rows never change and are never deleted.';
COMMENT ON COLUMN webhooks.fingerprint IS 'sha256 of all parsed fields but the event id: what a repeat must have too.';
COMMENT ON COLUMN webhooks.first_webhook_id IS 'The one before, where this is the same pay-in or the same id again.';
COMMENT ON COLUMN webhooks.refusal_reason IS 'Empty, or why it is a conflict: it has no effect and occupies no id.';
CREATE UNIQUE INDEX webhooks_event ON webhooks (provider_event_id, source) WHERE refusal_reason = '';
CREATE UNIQUE INDEX webhooks_payin ON webhooks (bank_transaction_id, source)
    WHERE bank_transaction_id <> '' AND first_webhook_id IS NULL;
CREATE UNIQUE INDEX webhooks_conflict ON webhooks (provider_event_id, source, fingerprint) WHERE refusal_reason <> '';
CREATE INDEX webhooks_conflicts ON webhooks (webhook_id) WHERE refusal_reason <> '';
CREATE INDEX webhooks_payin_event ON webhooks (payin_event_id) WHERE payin_event_id <> '';
CREATE INDEX webhooks_transact ON webhooks (transact_id) WHERE transact_id <> '';
CREATE INDEX webhooks_request ON webhooks (request_id);
CREATE INDEX webhooks_reports ON webhooks
    (((received_at AT TIME ZONE 'UTC')::date), transact_id COLLATE "C", webhook_id COLLATE "C")
    WHERE transact_id <> '';
CREATE INDEX webhooks_payins ON webhooks
    (((received_at AT TIME ZONE 'UTC')::date), payin_event_id COLLATE "C", webhook_id COLLATE "C")
    WHERE payin_event_id <> '';

CREATE INDEX webhooks_amounts ON webhooks (currency, amount, source, received_at)
    WHERE bank_transaction_id <> '' AND first_webhook_id IS NULL;

CREATE TABLE unallocated_payins (
    payin_event_id      text PRIMARY KEY,
    webhook_id          text NOT NULL UNIQUE,
    organization_id     text NOT NULL DEFAULT '',
    allocated_by        text NOT NULL DEFAULT '',
    allocation_reason   text NOT NULL DEFAULT '',
    allocation_event_id text NOT NULL DEFAULT '',
    request_id          text NOT NULL DEFAULT '',
    traceparent         text NOT NULL DEFAULT '',
    allocated_at        timestamptz,
    CHECK ((organization_id <> '') = (allocated_at IS NOT NULL)),
    CHECK ((allocation_event_id <> '') = (allocated_at IS NOT NULL))
);
COMMENT ON TABLE unallocated_payins IS
    'Pay-ins without a known reference, and whose a person found them to be; a row is allocated once and stays.';
CREATE INDEX unallocated_payins_open ON unallocated_payins (webhook_id) WHERE allocated_at IS NULL;
CREATE INDEX unallocated_payins_allocation ON unallocated_payins (allocation_event_id) WHERE allocation_event_id <> '';
CREATE INDEX unallocated_payins_request ON unallocated_payins (request_id) WHERE request_id <> '';

CREATE TABLE unprocessed_webhooks (
    webhook_id      text PRIMARY KEY,
    lane            text NOT NULL CHECK (lane IN ('report', 'payin')),
    attempt_number  integer NOT NULL,
    under_way       boolean NOT NULL,
    refused_count   integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    stored_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    given_up_at     timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE unprocessed_webhooks IS 'Webhooks without their effect yet; one given up is an exception.';
COMMENT ON COLUMN unprocessed_webhooks.attempt_number IS 'The try under way or the last one, whose maker may end it.';
COMMENT ON COLUMN unprocessed_webhooks.next_attempt_at IS
    'When anyone may try; the end of the claim of one under way; infinity once refused for good.';
COMMENT ON COLUMN unprocessed_webhooks.refused_count IS 'Tries answered with not found, of which so many are enough.';
CREATE INDEX unprocessed_webhooks_due ON unprocessed_webhooks (lane, next_attempt_at) WHERE given_up_at IS NULL;

CREATE TABLE webhook_attempts (
    webhook_id            text NOT NULL,
    number                integer NOT NULL,
    outcome               text NOT NULL CHECK (outcome IN ('processed', 'retry', 'exception')),
    effect                text NOT NULL,
    detail                text NOT NULL,
    organization_id       text NOT NULL,
    overnight_transact_id text NOT NULL DEFAULT '',
    request_id            text NOT NULL,
    traceparent           text NOT NULL,
    attempted_at          timestamptz NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (webhook_id, number)
);
COMMENT ON COLUMN webhook_attempts.overnight_transact_id IS
    'The trade of a report whose processing ended on a later UTC date than that of its receipt; else empty.';
CREATE INDEX webhook_attempts_overnight ON webhook_attempts
    (((created_at AT TIME ZONE 'UTC')::date), overnight_transact_id COLLATE "C", webhook_id COLLATE "C")
    WHERE overnight_transact_id <> '';
COMMENT ON COLUMN webhook_attempts.request_id IS 'Who reserved the trade, once known; else who posted.';

CREATE TABLE status_polls (
    transact_id text PRIMARY KEY,
    asked_at    timestamptz NOT NULL,
    asked_count integer NOT NULL,
    outcome     text NOT NULL DEFAULT '',
    request_id  text NOT NULL,
    traceparent text NOT NULL
);
COMMENT ON TABLE status_polls IS 'Trades the provider was asked about: when last, how often, and what it said last.';
COMMENT ON COLUMN status_polls.outcome IS 'Empty while it is being asked, or where the process ended meanwhile.';
CREATE INDEX status_polls_request ON status_polls (request_id);

CREATE TABLE rejected_webhooks (
    webhook_id       text PRIMARY KEY,
    source           text NOT NULL,
    reason           text NOT NULL,
    signature_result text NOT NULL,
    detail           text NOT NULL,
    body_head        bytea NOT NULL,
    body_bytes       integer NOT NULL,
    body_sha256      bytea NOT NULL,
    request_id       text NOT NULL,
    traceparent      text NOT NULL,
    received_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE rejected_webhooks IS 'Unsigned, stale, unreadable or not allowed; purged after a while.';
CREATE INDEX rejected_webhooks_received ON rejected_webhooks (received_at);
CREATE INDEX rejected_webhooks_request ON rejected_webhooks (request_id);
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(outbox.DDL)
    op.execute(leases.DDL)
    role = runtime_role()
    op.execute(f"""
        GRANT SELECT, INSERT ON sources, source_secrets, webhooks, webhook_attempts TO {role};
        GRANT UPDATE (expires_at) ON source_secrets TO {role};
        GRANT SELECT, INSERT ON unallocated_payins TO {role};
        GRANT UPDATE (organization_id, allocated_by, allocation_reason, allocation_event_id, request_id, traceparent,
                      allocated_at) ON unallocated_payins TO {role};
        GRANT SELECT, INSERT, UPDATE, DELETE ON unprocessed_webhooks TO {role};
        GRANT SELECT, INSERT, UPDATE ON status_polls TO {role};
        GRANT SELECT, INSERT, DELETE ON rejected_webhooks TO {role};
    """)
    op.execute(outbox.grants(role) + leases.grants(role))
