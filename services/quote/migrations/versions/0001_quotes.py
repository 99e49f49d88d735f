"""Pools, tiers, rates, inventory; quotes, what they hold and what became of them; treasury movements and the outbox."""

from alembic import op

from poolkit import leases, outbox
from poolkit.migrations import runtime_role

revision = "0001"
down_revision = None

_CONFIGURATION = """
CREATE TABLE pools (
    pool_id              text PRIMARY KEY,
    fiat_currency        text NOT NULL,
    crypto_currency      text NOT NULL,
    networks             text[] NOT NULL CHECK (cardinality(networks) > 0),
    sides                text[] NOT NULL CHECK (cardinality(sides) > 0 AND sides <@ ARRAY['on_ramp', 'off_ramp']),
    order_min            numeric NOT NULL CHECK (order_min > 0),
    order_max            numeric NOT NULL CHECK (order_max >= order_min),
    quote_ttl_ms         integer NOT NULL CHECK (quote_ttl_ms BETWEEN 1 AND 3600000),
    rate_age_seconds_max integer NOT NULL CHECK (rate_age_seconds_max > 0),
    created_at           timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE pool_tiers (
    pool_id           text NOT NULL REFERENCES pools,
    tier              text NOT NULL,
    spread_bps        integer NOT NULL CHECK (spread_bps >= 0 AND spread_bps < 10000),
    fee_bps           integer NOT NULL CHECK (fee_bps >= 0 AND fee_bps < 10000),
    active_quotes_max integer NOT NULL CHECK (active_quotes_max > 0),
    PRIMARY KEY (pool_id, tier)
);

CREATE TABLE rates (
    pool_id     text PRIMARY KEY REFERENCES pools,
    rate        numeric NOT NULL CHECK (rate > 0),
    as_of       timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    traceparent text NOT NULL
) WITH (fillfactor = 20);
COMMENT ON COLUMN rates.received_at IS 'A rate ages from here when its as_of lies in the future: clocks differ.';

CREATE TABLE inventory (
    pool_id   text NOT NULL REFERENCES pools,
    currency  text NOT NULL,
    total     numeric NOT NULL DEFAULT 0 CHECK (total >= 0),
    held      numeric NOT NULL DEFAULT 0 CHECK (held >= 0),
    committed numeric NOT NULL DEFAULT 0 CHECK (committed >= 0),
    owed      numeric NOT NULL DEFAULT 0 CHECK (owed >= 0),
    PRIMARY KEY (pool_id, currency),
    CHECK (held + committed <= total)
) WITH (fillfactor = 20);
COMMENT ON COLUMN inventory.owed IS 'Taken by a returned sale though promised on; the ledger has total less owed.';
"""

_QUOTES = """
CREATE TABLE quotes (
    quote_id            text PRIMARY KEY,
    organization_id     text NOT NULL,
    pool_id             text NOT NULL,
    side                text NOT NULL CHECK (side IN ('on_ramp', 'off_ramp')),
    fiat_currency       text NOT NULL,
    fiat_amount         numeric NOT NULL CHECK (fiat_amount > 0),
    crypto_currency     text NOT NULL,
    crypto_amount       numeric NOT NULL CHECK (crypto_amount > 0),
    rate                numeric NOT NULL CHECK (rate > 0),
    spread_bps          integer NOT NULL,
    fee_bps             integer NOT NULL,
    fee_amount          numeric NOT NULL CHECK (fee_amount >= 0),
    network             text NOT NULL,
    destination_address text NOT NULL,
    client_reference    text NOT NULL,
    request_id          text NOT NULL,
    traceparent         text NOT NULL,
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL
);
COMMENT ON TABLE quotes IS 'Firm quotes with their locked terms: written once, never changed, as the rights below say.';
CREATE INDEX quotes_request ON quotes (request_id);
CREATE INDEX quotes_client_reference ON quotes (client_reference, quote_id) WHERE client_reference <> '';

CREATE TABLE quote_holds (
    quote_id        text PRIMARY KEY,
    organization_id text NOT NULL,
    pool_id         text NOT NULL,
    side            text NOT NULL,
    currency        text NOT NULL,
    amount          numeric NOT NULL CHECK (amount > 0),
    expires_at      timestamptz NOT NULL
);
COMMENT ON TABLE quote_holds IS
    'What each open quote holds. Whoever deletes the row decides the quote: consumed, rejected or expired.';
CREATE INDEX quote_holds_organization ON quote_holds (organization_id, expires_at);
CREATE INDEX quote_holds_expiry ON quote_holds (expires_at);

CREATE TABLE rejections (
    quote_id    text PRIMARY KEY,
    request_id  text NOT NULL,
    traceparent text NOT NULL,
    created_at  timestamptz NOT NULL
);
CREATE INDEX rejections_request ON rejections (request_id);

CREATE TABLE consumptions (
    trade_id        text PRIMARY KEY,
    quote_id        text NOT NULL,
    organization_id text NOT NULL,
    outcome         text NOT NULL CHECK (outcome IN ('consumed', 'refused', 'given_back')),
    refusal_reason  text CHECK ((refusal_reason IS NOT NULL) = (outcome = 'refused')),
    request_id      text NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL,
    given_back_at   timestamptz CHECK ((given_back_at IS NOT NULL) = (outcome = 'given_back'))
);
COMMENT ON TABLE consumptions IS
    'The first answer to each trade id, given again to every repeat; given_back also stands where no consumption came.';
CREATE UNIQUE INDEX consumptions_consumed_quote ON consumptions (quote_id) WHERE outcome = 'consumed';
CREATE INDEX consumptions_other_quote ON consumptions (quote_id) WHERE outcome <> 'consumed';
CREATE INDEX consumptions_request ON consumptions (request_id);

CREATE FUNCTION lock_and_count_active_quotes(organization text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(organization, 7));
    -- A statement of its own, so that it sees what the holder of the lock before us committed.
    SELECT count(*) FROM quote_holds
    WHERE organization_id = organization AND expires_at > now() AND expires_at > clock_timestamp();
$$;
COMMENT ON FUNCTION lock_and_count_active_quotes IS
    'Nobody else makes quotes for the organization until the transaction ends, so the count stays exact.';
"""

_EVENTS = """
CREATE TABLE terminal_events (
    trade_id         text NOT NULL,
    number           integer NOT NULL CHECK (number IN (1, 2)),
    event_id         text NOT NULL UNIQUE,
    status           text NOT NULL CHECK (status IN ('settled', 'failed', 'released', 'returned')),
    quote_id         text NOT NULL,
    pool_id          text NOT NULL,
    crypto_total     numeric NOT NULL,
    crypto_committed numeric NOT NULL,
    fiat_total       numeric NOT NULL,
    fiat_committed   numeric NOT NULL,
    business_date    date NOT NULL,
    source           text NOT NULL,
    request_id       text NOT NULL,
    traceparent      text NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (trade_id, number)
);
COMMENT ON TABLE terminal_events IS 'The inbox: each event once, with what it added to its pool.';
COMMENT ON COLUMN terminal_events.source IS 'Where it came from: topic/partition/offset.';

CREATE TABLE treasury_movements (
    movement_id   text PRIMARY KEY,
    event_id      text NOT NULL UNIQUE,
    pool_id       text NOT NULL,
    currency      text NOT NULL,
    amount        numeric NOT NULL CHECK (amount <> 0),
    total         numeric NOT NULL,
    held          numeric NOT NULL,
    committed     numeric NOT NULL,
    owed          numeric NOT NULL,
    business_date date NOT NULL,
    request_id    text NOT NULL,
    traceparent   text NOT NULL,
    created_at    timestamptz NOT NULL
);
COMMENT ON TABLE treasury_movements IS 'Top-ups and draw-downs, each with the inventory it left.';
CREATE INDEX treasury_movements_request ON treasury_movements (request_id);

CREATE TABLE inventory_days (
    pool_id        text NOT NULL,
    currency       text NOT NULL,
    business_date  date NOT NULL,
    amount         numeric NOT NULL,
    movement_count bigint NOT NULL,
    PRIMARY KEY (pool_id, currency, business_date)
) WITH (fillfactor = 20);
COMMENT ON TABLE inventory_days IS
    'What the movements of a business date came to, late ones included: up to a date, what lay there at its end.';
"""

# Every statement here looks rows up by key, for a handful of keys at a time. Planned while a table is young, a scan of
# all of it looks cheap, and a kept plan goes on scanning while the table grows. So: one plan, and that by index.
_PLANS = """
DO $$
DECLARE setting text;
BEGIN
    FOREACH setting IN ARRAY ARRAY[
        'plan_cache_mode = force_generic_plan', 'enable_seqscan = off', 'enable_hashjoin = off',
        'enable_mergejoin = off'
    ] LOOP
        EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    op.execute(_PLANS)
    op.execute(_CONFIGURATION)
    op.execute(_QUOTES)
    op.execute(_EVENTS)
    op.execute(outbox.DDL)
    op.execute(leases.DDL)
    role = runtime_role()
    op.execute(f"""
        GRANT SELECT, INSERT ON pools, pool_tiers, quotes, rejections, terminal_events, treasury_movements TO {role};
        GRANT SELECT, INSERT, UPDATE ON rates, inventory, inventory_days TO {role};
        -- Holds are never changed; locking a row asks for the right to update one column.
        GRANT SELECT, INSERT, DELETE, UPDATE (quote_id) ON quote_holds TO {role};
        GRANT SELECT, INSERT, UPDATE (outcome, given_back_at) ON consumptions TO {role};
    """)
    op.execute(outbox.grants(role))
    op.execute(leases.grants(role))
