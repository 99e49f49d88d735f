"""Daily closes with their exceptions, what has been told to the trades, and the lease of who closes by schedule."""

from alembic import op

from poolkit import leases
from poolkit.migrations import runtime_role

revision = "0003"
down_revision = "0002"

_ID = 'text COLLATE "C"'

_TABLES = f"""
CREATE TABLE closes (
    close_id        {_ID} PRIMARY KEY,
    mode            text NOT NULL,
    business_date   date NOT NULL,
    revision        integer NOT NULL CHECK (revision > 0),
    provisional     boolean NOT NULL,
    cut_at          timestamptz NOT NULL,
    inbox_sequence  bigint NOT NULL,
    content_hash    bytea NOT NULL CHECK (length(content_hash) = 32),
    contents        jsonb NOT NULL,
    matched_count   bigint NOT NULL,
    exception_count bigint NOT NULL,
    changes         jsonb,
    request_id      {_ID} NOT NULL,
    requested_by    text NOT NULL,
    traceparent     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (business_date, revision),
    CHECK ((changes IS NULL) = (revision = 1))
);
COMMENT ON TABLE closes IS 'Dates as they were closed; what is found out later makes another revision.';
COMMENT ON COLUMN closes.inbox_sequence IS 'The newest event applied by then: a later one of the date came late.';
COMMENT ON COLUMN closes.contents IS 'Trial balance, totals, inventories, counts; domain/close/contents.py names them.';

CREATE TABLE close_exceptions (
    close_id        {_ID} NOT NULL,
    number          bigint NOT NULL CHECK (number > 0),
    kind            text NOT NULL,
    fingerprint     bytea NOT NULL CHECK (length(fingerprint) = 32),
    organization_id {_ID} NOT NULL,
    trade_id        {_ID} NOT NULL,
    event_id        {_ID} NOT NULL,
    ids             jsonb NOT NULL,
    amounts         jsonb NOT NULL,
    amount_keys     text[] NOT NULL,
    occurred_at     timestamptz,
    age_seconds     bigint NOT NULL,
    description     text NOT NULL,
    PRIMARY KEY (close_id, number)
);
CREATE INDEX close_exceptions_fingerprint ON close_exceptions (close_id, fingerprint);
CREATE INDEX close_exceptions_trade ON close_exceptions (trade_id) WHERE trade_id <> '';
CREATE INDEX close_exceptions_event ON close_exceptions (event_id) WHERE event_id <> '';
COMMENT ON TABLE close_exceptions IS 'What a person has to look at, as found at a close.';
COMMENT ON COLUMN close_exceptions.amount_keys IS 'What to look for elsewhere; empty where ids have found all.';

CREATE TABLE close_candidates (
    close_id         {_ID} NOT NULL,
    number           bigint NOT NULL,
    rank             smallint NOT NULL,
    candidate_number bigint NOT NULL,
    apart_seconds    bigint NOT NULL,
    PRIMARY KEY (close_id, number, rank)
);
COMMENT ON TABLE close_candidates IS 'Exceptions with the same amount, which a person may find to belong together.';

CREATE TABLE close_tellings (
    close_id        {_ID} PRIMARY KEY,
    matched_count   bigint NOT NULL,
    exception_count bigint NOT NULL,
    told_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE close_tellings IS 'Closes whose findings every trade of the date has been told.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON closes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON close_exceptions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON close_candidates
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON close_tellings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE closes ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE close_exceptions ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE close_candidates ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE close_tellings ENABLE ALWAYS TRIGGER append_only;
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(leases.DDL)
    role = runtime_role()
    op.execute(f"GRANT SELECT, INSERT ON closes, close_exceptions, close_candidates, close_tellings TO {role};")
    op.execute(leases.grants(role))
