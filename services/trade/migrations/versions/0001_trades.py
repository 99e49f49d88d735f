"""Intents, trades, their transitions, and the outbox that tells of them."""

from alembic import op

from poolkit import leases, outbox
from poolkit.migrations import runtime_role

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE intents (
    trade_id             text PRIMARY KEY,
    organization_id      text NOT NULL,
    idempotency_key      text NOT NULL,
    quote_id             text NOT NULL,
    pool_id              text NOT NULL,
    state                text NOT NULL DEFAULT 'running'
                         CHECK (state IN ('running', 'reserved', 'declining', 'declined', 'alias')),
    alias_of             text,
    decline_reason       text,
    balance_gate_enabled boolean NOT NULL,
    off_ramp_enabled     boolean NOT NULL,
    notional_caps        jsonb,
    fencing              bigint NOT NULL DEFAULT 1,
    claimed_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    declined_at          timestamptz,
    request_id           text NOT NULL,
    traceparent          text NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'alias') = (alias_of IS NOT NULL)),
    CHECK ((state = 'declined') = (declined_at IS NOT NULL))
);
COMMENT ON TABLE intents IS 'Requests to accept a quote. A declined one leaves both unique indexes and binds nothing.';
CREATE UNIQUE INDEX intents_key ON intents (idempotency_key, organization_id) WHERE declined_at IS NULL;
CREATE UNIQUE INDEX intents_quote ON intents (quote_id, organization_id, pool_id)
    WHERE declined_at IS NULL AND alias_of IS NULL;
COMMENT ON INDEX intents_quote IS 'With the pool, since whose quote it is only the quote service knows: a request
under another pool''s path is refused by it, and neither waits for the right one nor makes it wait.';
CREATE INDEX intents_undecided ON intents (claimed_at) WHERE state IN ('running', 'declining');
CREATE INDEX intents_request ON intents (request_id);
CREATE INDEX intents_alias ON intents (alias_of) WHERE alias_of IS NOT NULL;
CREATE INDEX intents_declined ON intents (quote_id) WHERE declined_at IS NOT NULL;

CREATE TABLE trades (
    trade_id               text PRIMARY KEY,
    organization_id        text NOT NULL,
    quote_id               text NOT NULL,
    pool_id                text NOT NULL,
    side                   text NOT NULL CHECK (side IN ('on_ramp', 'off_ramp')),
    fiat_currency          text NOT NULL,
    fiat_amount            numeric NOT NULL CHECK (fiat_amount > 0),
    crypto_currency        text NOT NULL,
    crypto_amount          numeric NOT NULL CHECK (crypto_amount > 0),
    rate                   numeric NOT NULL CHECK (rate > 0),
    spread_bps             integer NOT NULL,
    fee_bps                integer NOT NULL,
    fee_amount             numeric NOT NULL CHECK (fee_amount >= 0),
    network                text NOT NULL,
    destination_address    text NOT NULL,
    deposit_address        text NOT NULL DEFAULT '',
    network_transaction_id text NOT NULL DEFAULT '',
    client_reference       text NOT NULL,
    status                 text NOT NULL DEFAULT 'reserved'
                           CHECK (status IN ('reserved', 'settled', 'failed', 'released', 'returned')),
    terminal_count         integer NOT NULL DEFAULT 0,
    reconciliation_state   text NOT NULL DEFAULT 'open'
                           CHECK (reconciliation_state IN ('open', 'matched', 'exception')),
    closed_date            date,
    closed_revision        integer NOT NULL DEFAULT 0,
    close_id               text NOT NULL DEFAULT '',
    request_id             text NOT NULL,
    traceparent            text NOT NULL,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    terminal_at            timestamptz
);
COMMENT ON COLUMN trades.closed_date IS 'The business date of the close that reconciliation_state comes from.';
CREATE INDEX trades_recent ON trades (organization_id, created_at, trade_id);
CREATE INDEX trades_matching ON trades (organization_id, side, status, created_at, trade_id);
CREATE INDEX trades_reserved ON trades (created_at, trade_id) WHERE status = 'reserved';
CREATE INDEX trades_open ON trades (trade_id COLLATE "C", created_at) WHERE status = 'reserved';
CREATE INDEX trades_quote ON trades (quote_id);
CREATE INDEX trades_request ON trades (request_id);
CREATE INDEX trades_client_reference ON trades (client_reference, quote_id) WHERE client_reference <> '';

CREATE TABLE transitions (
    trade_id               text NOT NULL,
    number                 integer NOT NULL,
    from_status            text,
    to_status              text NOT NULL,
    source                 text NOT NULL,
    provider_event_id      text NOT NULL,
    webhook_id             text NOT NULL,
    reported_currency      text,
    reported_amount        numeric,
    network_transaction_id text NOT NULL,
    occurred_at            timestamptz,
    business_date          date NOT NULL,
    request_id             text NOT NULL,
    traceparent            text NOT NULL,
    created_at             timestamptz NOT NULL,
    PRIMARY KEY (trade_id, number)
);
COMMENT ON COLUMN transitions.number IS '0 for reserved, then the number of the terminal event.';
CREATE INDEX transitions_ended ON transitions (business_date, trade_id COLLATE "C") WHERE number > 0;
CREATE INDEX transitions_provider_event ON transitions (provider_event_id) WHERE provider_event_id <> '';

CREATE TABLE unapplied_reports (
    report_id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trade_id               text NOT NULL REFERENCES trades,
    kind                   text NOT NULL CHECK (kind IN ('early', 'refused')),
    status                 text NOT NULL,
    refusal_reason         text NOT NULL DEFAULT '',
    source                 text NOT NULL,
    provider_event_id      text NOT NULL,
    webhook_id             text NOT NULL,
    network_transaction_id text NOT NULL,
    crypto_currency        text NOT NULL,
    crypto_amount          text NOT NULL,
    occurred_at            timestamptz NOT NULL,
    request_id             text NOT NULL,
    traceparent            text NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE unapplied_reports IS 'Reports that moved nothing: early returns kept for their settled, refused ones.';
CREATE UNIQUE INDEX unapplied_reports_early ON unapplied_reports (trade_id) WHERE kind = 'early';
CREATE UNIQUE INDEX unapplied_reports_refused ON unapplied_reports (trade_id, webhook_id)
    WHERE kind = 'refused' AND webhook_id <> '';
COMMENT ON INDEX unapplied_reports_refused IS 'A report told again, since its first answer was lost, is the same row.';
CREATE INDEX unapplied_reports_trade ON unapplied_reports (trade_id);
CREATE INDEX unapplied_reports_provider_event ON unapplied_reports (provider_event_id);

CREATE TABLE deposit_addresses (
    address         text PRIMARY KEY,
    network         text NOT NULL,
    crypto_currency text NOT NULL,
    trade_id        text UNIQUE,
    assigned_at     timestamptz,
    request_id      text NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((trade_id IS NULL) = (assigned_at IS NULL))
);
COMMENT ON TABLE deposit_addresses IS 'Where sold crypto is sent: from settlement, one a sale, never used again.';
CREATE INDEX deposit_addresses_free ON deposit_addresses (network, crypto_currency, created_at, address)
    WHERE trade_id IS NULL;

CREATE TABLE resolutions (
    trade_id    text PRIMARY KEY REFERENCES trades,
    resolution  text NOT NULL CHECK (resolution IN ('release')),
    reason      text NOT NULL CHECK (reason <> ''),
    resolved_by text NOT NULL CHECK (resolved_by <> ''),
    request_id  text NOT NULL,
    traceparent text NOT NULL,
    created_at  timestamptz NOT NULL
);
COMMENT ON TABLE resolutions IS 'What a person decided about a trade that nobody reported on: once, and never changed.';

CREATE TABLE velocity_locks (
    organization_id text PRIMARY KEY
);
COMMENT ON TABLE velocity_locks IS 'One row an organization with a cap, locked while its rolling notional is summed.';
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(outbox.DDL)
    op.execute(leases.DDL)
    role = runtime_role()
    op.execute(f"""
        GRANT SELECT, INSERT, UPDATE ON intents, trades TO {role};
        GRANT SELECT, INSERT ON transitions, unapplied_reports, deposit_addresses, resolutions TO {role};
        GRANT UPDATE (trade_id, assigned_at) ON deposit_addresses TO {role};
        GRANT SELECT, INSERT, UPDATE ON velocity_locks TO {role};
    """)
    op.execute(outbox.grants(role) + leases.grants(role))
