"""Accounts, holds, the stored events, what they posted, and the guards that let nothing posted change."""

from alembic import op

from poolkit.migrations import runtime_role

revision = "0001"
down_revision = None

# Ids and names are compared byte by byte: that is what "the same id" means, and it is the cheapest order to keep.
_ID = 'text COLLATE "C"'

_TABLES = f"""
CREATE TABLE accounts (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('partner', 'bank', 'fees', 'spread', 'conversion', 'inventory',
                                                  'treasury', 'suspense', 'clearing')),
    organization_id {_ID} NOT NULL,
    pool_id         {_ID} NOT NULL,
    currency        {_ID} NOT NULL,
    sub_account     smallint NOT NULL CHECK (sub_account BETWEEN 0 AND 15),
    name            {_ID} NOT NULL UNIQUE,
    balance         numeric NOT NULL DEFAULT 0,
    held            numeric NOT NULL DEFAULT 0 CHECK (held >= 0),
    open_holds      integer NOT NULL DEFAULT 0 CHECK (open_holds >= 0),
    entry_count     bigint NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'partner') = (organization_id <> ''))
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX accounts_partner ON accounts (organization_id, currency) WHERE kind = 'partner';
COMMENT ON TABLE accounts IS 'What entries move. System accounts are split in sixteen by a hash of the organization.';
COMMENT ON COLUMN accounts.held IS 'The sum of the open holds, so that taking one locks and updates a single row.';

CREATE TABLE funding_references (
    reference       {_ID} PRIMARY KEY,
    organization_id {_ID} NOT NULL,
    currency        {_ID} NOT NULL,
    request_id      {_ID} NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, currency)
);
COMMENT ON TABLE funding_references IS 'What a payer writes on a transfer so that it reaches an organization.';

CREATE TABLE holds (
    trade_id         {_ID} PRIMARY KEY,
    organization_id  {_ID} NOT NULL,
    account_id       bigint,
    amount           numeric NOT NULL CHECK (amount >= 0),
    state            text NOT NULL CHECK (state IN ('open', 'consumed', 'voided', 'refused')),
    quote_id         {_ID} NOT NULL DEFAULT '',
    request_id       {_ID} NOT NULL,
    client_reference {_ID} NOT NULL DEFAULT '',
    traceparent      text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK (account_id IS NOT NULL OR state = 'voided')
) WITH (fillfactor = 50);
CREATE INDEX holds_quote ON holds (quote_id) WHERE quote_id <> '';
CREATE INDEX holds_request ON holds (request_id);
CREATE INDEX holds_client_reference ON holds (client_reference) WHERE client_reference <> '';
COMMENT ON TABLE holds IS
    'The first answer to each trade id. A voided row without an account is the tombstone of a hold that never was.';

CREATE SEQUENCE event_sequence INCREMENT BY 2;
COMMENT ON SEQUENCE event_sequence IS
    'The order of application. One event makes at most two transactions: its number and the one after.';

CREATE TABLE inbox (
    event_id        {_ID} PRIMARY KEY,
    topic           text NOT NULL,
    type            text NOT NULL,
    organization_id {_ID} NOT NULL,
    business_date   date,
    occurred_ms     bigint,
    payload         bytea NOT NULL,
    request_id      {_ID} NOT NULL,
    traceparent     text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT now(),
    state           text NOT NULL CHECK (state IN ('applied', 'parked', 'dead')),
    awaits          {_ID} NOT NULL DEFAULT '',
    sequence        bigint,
    applied_at      timestamptz,
    CHECK ((state = 'applied') = (sequence IS NOT NULL)),
    CHECK ((state = 'applied') = (applied_at IS NOT NULL)),
    CHECK (state = 'dead' OR (business_date IS NOT NULL AND occurred_ms IS NOT NULL))
);
CREATE UNIQUE INDEX inbox_sequence ON inbox (sequence) WHERE sequence IS NOT NULL;
CREATE INDEX inbox_parked ON inbox (awaits) WHERE state = 'parked';
CREATE INDEX inbox_dead ON inbox (received_at) WHERE state = 'dead';
CREATE INDEX inbox_allocations ON inbox (awaits) WHERE topic = 'pools.payin.allocated.v1';
-- A date's rows lie together, so that a few bytes for every hundred pages find them.
CREATE INDEX inbox_business_date ON inbox USING brin (business_date);
COMMENT ON TABLE inbox IS 'Every event as it came. Its bytes are kept for good; only its state may change.';

CREATE TABLE transactions (
    number           bigint PRIMARY KEY,
    id               {_ID} NOT NULL UNIQUE,
    organization_id  {_ID} NOT NULL,
    sequence         bigint NOT NULL,
    reason           text NOT NULL,
    content_hash     bytea NOT NULL,
    link             bytea NOT NULL,
    business_date    date NOT NULL,
    event_id         {_ID} NOT NULL,
    request_id       {_ID} NOT NULL,
    trade_id         {_ID} NOT NULL,
    quote_id         {_ID} NOT NULL,
    client_reference {_ID} NOT NULL,
    traceparent      text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (organization_id, sequence)
);
CREATE INDEX transactions_trade ON transactions (trade_id) WHERE trade_id <> '';
CREATE INDEX transactions_quote ON transactions (quote_id) WHERE quote_id <> '';
CREATE INDEX transactions_request ON transactions (request_id);
CREATE INDEX transactions_client_reference ON transactions (client_reference) WHERE client_reference <> '';
CREATE INDEX transactions_business_date ON transactions USING brin (business_date);
COMMENT ON TABLE transactions IS 'What each event posted, linked into one chain for each organization.';
COMMENT ON COLUMN transactions.created_at IS
    'When it was booked, under the lock of its chain: within a chain it only grows, so an instant is found by halving.';
COMMENT ON COLUMN transactions.number IS 'The stored sequence of its event, plus one for the second of two.';

CREATE TABLE entries (
    transaction_number bigint NOT NULL,
    leg                smallint NOT NULL,
    account_id         bigint NOT NULL,
    amount             numeric NOT NULL,
    balance_after      numeric,
    sequence           bigint,
    PRIMARY KEY (transaction_number, leg)
);
CREATE UNIQUE INDEX entries_partner ON entries (account_id, sequence) WHERE balance_after IS NOT NULL;
COMMENT ON TABLE entries IS
    'The legs of every transaction. Partner entries carry the balance after them and their sequence in the chain.';

CREATE TABLE chain_heads (
    organization_id {_ID} PRIMARY KEY,
    sequence        bigint NOT NULL DEFAULT 0,
    link            bytea NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE chain_heads IS 'The last link of each organization''s chain; locked to extend it.';

CREATE TABLE exceptions (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('settled_without_hold', 'event_id_reused', 'dead_letter')),
    event_id        {_ID} NOT NULL,
    trade_id        {_ID} NOT NULL DEFAULT '',
    organization_id {_ID} NOT NULL,
    detail          text NOT NULL,
    payload         bytea,
    payload_hash    bytea GENERATED ALWAYS AS (sha256(coalesce(payload, ''::bytea))) STORED,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (event_id, kind, payload_hash)
);
CREATE INDEX exceptions_trade ON exceptions (trade_id) WHERE trade_id <> '';
COMMENT ON TABLE exceptions IS 'What a person must look at, as noticed while applying events; the close lists it.';

CREATE VIEW journal AS
SELECT 'le_' || substr(t.id, 8) || e.leg AS id, t.id AS transaction_id, t.organization_id, t.sequence, t.reason,
       t.business_date, a.kind, a.pool_id, a.currency, e.amount, e.balance_after, t.trade_id, t.quote_id, t.event_id,
       t.request_id, t.client_reference, t.created_at
FROM entries e
JOIN transactions t ON t.number = e.transaction_number
JOIN accounts a ON a.id = e.account_id;
COMMENT ON VIEW journal IS 'Every entry with its names, for people.';
"""  # noqa: S608 - constants only

_GUARDS = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % of % is refused', lower(TG_OP), TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'Correct a posting with another event.';
END $$;

CREATE FUNCTION refuse_other_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.event_id, NEW.topic, NEW.type, NEW.organization_id, NEW.payload, NEW.request_id, NEW.traceparent,
        NEW.partition, NEW."offset", NEW.received_at)
       IS DISTINCT FROM
       (OLD.event_id, OLD.topic, OLD.type, OLD.organization_id, OLD.payload, OLD.request_id, OLD.traceparent,
        OLD.partition, OLD."offset", OLD.received_at)
       OR NEW.business_date IS DISTINCT FROM coalesce(OLD.business_date, NEW.business_date)
       OR NEW.occurred_ms IS DISTINCT FROM coalesce(OLD.occurred_ms, NEW.occurred_ms)
       OR OLD.state = 'applied'
    THEN
        RAISE EXCEPTION 'the inbox is append-only: only the state of an event that is not applied may change'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

-- One aggregate a statement, whatever its rows. Both look-ups go by primary key: the tables are large, the rows few.
CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    wrong record;
BEGIN
    SELECT summed.transaction_number, summed.currency, summed.amount, posted.number INTO wrong
    FROM (
        SELECT e.transaction_number, a.currency, sum(e.amount) AS amount
        FROM new_entries e LEFT JOIN accounts a ON a.id = e.account_id
        GROUP BY e.transaction_number, a.currency
    ) AS summed
    LEFT JOIN transactions posted ON posted.number = summed.transaction_number
    WHERE summed.amount <> 0 OR summed.currency IS NULL OR posted.number IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % does not sum to zero: % %', wrong.transaction_number, wrong.amount,
            coalesce(wrong.currency, 'on an unknown account')
            USING ERRCODE = 'check_violation',
                  HINT = 'All legs of a transaction are inserted by one statement, with the transaction before them.';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON inbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER same_bytes BEFORE UPDATE ON inbox
    FOR EACH ROW EXECUTE FUNCTION refuse_other_bytes();
CREATE TRIGGER balanced AFTER INSERT ON entries REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced();

-- ALWAYS: also for a session that replays as a replica.
ALTER TABLE transactions ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE entries ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER balanced;
ALTER TABLE inbox ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER same_bytes;
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(_GUARDS)
    role = runtime_role()
    op.execute(f"""
        GRANT SELECT, INSERT ON accounts, funding_references, holds, inbox, transactions, entries, chain_heads,
            exceptions TO {role};
        GRANT UPDATE (balance, held, open_holds, entry_count) ON accounts TO {role};
        GRANT UPDATE (state, ended_at) ON holds TO {role};
        GRANT UPDATE (state, awaits, sequence, applied_at, business_date, occurred_ms) ON inbox TO {role};
        GRANT UPDATE (sequence, link) ON chain_heads TO {role};
        GRANT USAGE ON SEQUENCE event_sequence TO {role};
        GRANT SELECT ON journal TO {role};
    """)
