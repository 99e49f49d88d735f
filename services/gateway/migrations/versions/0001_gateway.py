"""Organizations, entitlements, keys; webhook endpoints, deliveries, attempts; the request log; accesses of support."""

from alembic import op

from poolkit.migrations import runtime_role

revision = "0001"
down_revision = None

_ACCESS = """
CREATE TABLE organizations (
    organization_id text PRIMARY KEY,
    name            text NOT NULL,
    request_id      text NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE entitlements (
    organization_id      text NOT NULL REFERENCES organizations,
    mode                 text NOT NULL CHECK (mode IN ('test', 'live')),
    status               text NOT NULL CHECK (status IN ('active', 'suspended')),
    kyc_status           text NOT NULL CHECK (kyc_status IN ('approved', 'pending', 'revoked')),
    tier                 text NOT NULL,
    pool_ids             text[] NOT NULL,
    off_ramp_enabled     boolean NOT NULL,
    balance_gate_enabled boolean NOT NULL,
    request_id           text NOT NULL,
    traceparent          text NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (organization_id, mode)
);

CREATE TABLE notional_caps (
    organization_id text NOT NULL,
    mode            text NOT NULL,
    currency        text NOT NULL,
    amount          numeric NOT NULL CHECK (amount > 0),
    PRIMARY KEY (organization_id, mode, currency),
    FOREIGN KEY (organization_id, mode) REFERENCES entitlements
);

CREATE TABLE api_keys (
    key_id          text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations,
    kind            text NOT NULL CHECK (kind IN ('pk', 'sk')),
    label           text NOT NULL,
    key_hash        bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    revoked_at      timestamptz,
    expires_at      timestamptz,
    replaces_key_id text UNIQUE REFERENCES api_keys,
    request_id      text NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN api_keys.key_hash IS 'HMAC-SHA256 under a pepper kept elsewhere; the key itself is kept nowhere.';
COMMENT ON COLUMN api_keys.replaces_key_id IS 'The key it was rotated from; a key is rotated once.';
CREATE INDEX api_keys_organization ON api_keys (organization_id, key_id);
"""

_WEBHOOKS = """
CREATE TABLE webhook_endpoints (
    endpoint_id     text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations,
    url             text NOT NULL,
    disabled_at     timestamptz,
    disabled_reason text CHECK (disabled_reason IN ('gone', 'failing', 'requested')),
    failing_since   timestamptz,
    request_id      text NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
COMMENT ON COLUMN webhook_endpoints.disabled_at IS
    'Since when nothing is posted; what is queued meanwhile waits, five days at most, until it is enabled again.';
COMMENT ON COLUMN webhook_endpoints.failing_since IS 'The first failed attempt since the last one that succeeded.';
CREATE INDEX webhook_endpoints_organization ON webhook_endpoints (organization_id, endpoint_id);

CREATE TABLE webhook_secrets (
    endpoint_id      text NOT NULL REFERENCES webhook_endpoints,
    number           integer NOT NULL,
    encrypted_secret bytea NOT NULL,
    expires_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (endpoint_id, number)
);
COMMENT ON TABLE webhook_secrets IS 'Every secret in force signs; one without an end is in force until it gets one.';

CREATE TABLE terminal_events (
    event_id         text PRIMARY KEY,
    type             text NOT NULL,
    organization_id  text NOT NULL,
    trade_id         text NOT NULL,
    quote_id         text NOT NULL,
    client_reference text,
    occurred_at      timestamptz NOT NULL,
    body             bytea,
    source           text NOT NULL,
    request_id       text NOT NULL,
    traceparent      text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE terminal_events IS 'The inbox: each event is acted on once, however often it is received.';
COMMENT ON COLUMN terminal_events.body IS
    'The webhook''s bytes, the same for every endpoint and attempt; null where no partner is told.';
CREATE INDEX terminal_events_trade ON terminal_events (trade_id);
CREATE INDEX terminal_events_quote ON terminal_events (quote_id);
CREATE INDEX terminal_events_request ON terminal_events (request_id);
CREATE INDEX terminal_events_client_reference ON terminal_events (client_reference)
    WHERE client_reference IS NOT NULL;

CREATE TABLE deliveries (
    delivery_id      text PRIMARY KEY,
    event_id         text NOT NULL REFERENCES terminal_events,
    endpoint_id      text NOT NULL REFERENCES webhook_endpoints,
    organization_id  text NOT NULL,
    type             text NOT NULL,
    state            text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempt_count    integer NOT NULL DEFAULT 0,
    earlier_attempts integer NOT NULL DEFAULT 0 CHECK (earlier_attempts BETWEEN 0 AND attempt_count),
    next_attempt_at  timestamptz NOT NULL,
    last_status_code integer,
    delivered_at     timestamptz CHECK ((delivered_at IS NOT NULL) = (state = 'delivered')),
    request_id       text NOT NULL,
    traceparent      text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (event_id, endpoint_id)
) WITH (fillfactor = 80);
COMMENT ON COLUMN deliveries.attempt_count IS 'Attempts begun; the number of the one under way fences it.';
COMMENT ON COLUMN deliveries.earlier_attempts IS 'Attempts before the last replay, which begins the schedule anew.';
CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_organization ON deliveries (organization_id, delivery_id);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint_id, delivery_id);
CREATE INDEX deliveries_dead ON deliveries (delivery_id) WHERE state = 'dead';

CREATE TABLE delivery_attempts (
    delivery_id text NOT NULL REFERENCES deliveries,
    number      integer NOT NULL,
    status_code integer,
    failure     text,
    duration_ms integer NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (delivery_id, number)
);
COMMENT ON TABLE delivery_attempts IS 'How each attempt went, never what was sent.';

CREATE TABLE delivery_replays (
    delivery_id     text NOT NULL REFERENCES deliveries,
    attempts_before integer NOT NULL,
    replayed_by     text NOT NULL,
    request_id      text NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (delivery_id, created_at)
);
COMMENT ON TABLE delivery_replays IS 'Who had a delivery posted again, for its journey; written once, never changed.';
"""

_REQUEST_LOG = """
CREATE TABLE request_log (
    writer_id        bigint NOT NULL,
    number           bigint NOT NULL,
    request_id       text NOT NULL,
    traceparent      text NOT NULL,
    edge             text NOT NULL CHECK (edge IN ('rest', 'grpc')),
    operation        text NOT NULL,
    outcome          text NOT NULL,
    http_status      smallint NOT NULL,
    organization_id  text,
    key_id           text,
    key_label        text,
    idempotency_key  text,
    quote_id         text,
    trade_id         text,
    client_reference text,
    replayed         boolean NOT NULL,
    duration_us      integer NOT NULL,
    started_at       timestamptz NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (writer_id, number)
);
COMMENT ON TABLE request_log IS 'One row a partner call, refused ones included; written once, never changed.';
COMMENT ON COLUMN request_log.number IS 'Counted by its writer, one process: what it writes twice is stored once.';
CREATE INDEX request_log_request ON request_log (request_id);
CREATE INDEX request_log_idempotency_key ON request_log (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX request_log_quote ON request_log (quote_id) WHERE quote_id IS NOT NULL;
CREATE INDEX request_log_trade ON request_log (trade_id) WHERE trade_id IS NOT NULL;
CREATE INDEX request_log_client_reference ON request_log (client_reference) WHERE client_reference IS NOT NULL;
CREATE INDEX request_log_security_events ON request_log (created_at) WHERE outcome = 'secret_key_in_browser';
"""

_SUPPORT = """
CREATE TABLE support_accesses (
    access_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    caller           text NOT NULL,
    asked_by         text NOT NULL,
    searched_id      text NOT NULL,
    outcome          text NOT NULL CHECK (outcome IN ('found', 'listed', 'not_found', 'nobody_answered', 'other_mode',
                                                      'mistyped', 'not_searchable', 'secret')),
    missing_services text[] NOT NULL,
    request_id       text NOT NULL,
    traceparent      text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE support_accesses IS 'Who searched for which id. Nothing is told before its row is committed.';
COMMENT ON COLUMN support_accesses.caller IS 'The calling service: its certificate''s name, else what it calls itself.';
COMMENT ON COLUMN support_accesses.asked_by IS 'The person, as the caller says; empty where it asked for itself.';
COMMENT ON COLUMN support_accesses.searched_id IS 'As asked for; of a key or secret no more than its prefix.';
CREATE INDEX support_accesses_searched_id ON support_accesses (searched_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, lower(TG_OP)
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON support_accesses
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- ALWAYS: also for a session that replays as a replica.
ALTER TABLE support_accesses ENABLE ALWAYS TRIGGER append_only;
"""


def upgrade() -> None:
    op.execute(_ACCESS)
    op.execute(_WEBHOOKS)
    op.execute(_REQUEST_LOG)
    op.execute(_SUPPORT)
    role = runtime_role()
    op.execute(f"""
        GRANT SELECT, INSERT ON organizations, webhook_endpoints, webhook_secrets, terminal_events, delivery_attempts,
                                delivery_replays, request_log, support_accesses TO {role};
        GRANT SELECT, INSERT, UPDATE ON entitlements TO {role};
        GRANT SELECT, INSERT, UPDATE, DELETE ON notional_caps TO {role};
        GRANT SELECT, INSERT, UPDATE (revoked_at, expires_at) ON api_keys TO {role};
        GRANT UPDATE (disabled_at, disabled_reason, failing_since) ON webhook_endpoints TO {role};
        GRANT UPDATE (expires_at) ON webhook_secrets TO {role};
        GRANT SELECT, INSERT, UPDATE (state, attempt_count, earlier_attempts, next_attempt_at, last_status_code,
                                      delivered_at)
           ON deliveries TO {role};
    """)
