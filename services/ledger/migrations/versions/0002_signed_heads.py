"""Chain heads as they were signed at closes, the statements that sign them, and the public keys, retired ones too."""

from alembic import op

from poolkit.migrations import runtime_role

revision = "0002"
down_revision = "0001"

_ID = 'text COLLATE "C"'

_TABLES = f"""
CREATE TABLE signing_keys (
    key_id        {_ID} PRIMARY KEY,
    public_key    bytea NOT NULL CHECK (length(public_key) = 32),
    first_used_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE signing_keys IS
    'Public keys that ever signed heads, for reference: what is trusted is told to the service by files alone.';

CREATE TABLE head_statements (
    number        bigint PRIMARY KEY CHECK (number > 0),
    mode          text NOT NULL,
    close_id      {_ID} NOT NULL UNIQUE,
    business_date date NOT NULL,
    revision      integer NOT NULL,
    head_count    bigint NOT NULL,
    heads_digest  bytea NOT NULL CHECK (length(heads_digest) = 32),
    previous      bytea NOT NULL UNIQUE CHECK (length(previous) = 32),
    key_id        {_ID} NOT NULL REFERENCES signing_keys,
    signed_at     timestamptz NOT NULL,
    signature     bytea NOT NULL CHECK (length(signature) = 64)
);
COMMENT ON TABLE head_statements IS 'What was signed at each close; domain/heads.py documents the bytes.';

CREATE TABLE signed_heads (
    statement_number bigint NOT NULL,
    organization_id  {_ID} NOT NULL,
    sequence         bigint NOT NULL CHECK (sequence > 0),
    link             bytea NOT NULL CHECK (length(link) = 32),
    PRIMARY KEY (statement_number, organization_id),
    UNIQUE (organization_id, sequence)
);
COMMENT ON TABLE signed_heads IS 'The heads of the chains that moved since the statement before.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON head_statements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signed_heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE signing_keys ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE head_statements ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE signed_heads ENABLE ALWAYS TRIGGER append_only;
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(f"GRANT SELECT, INSERT ON signing_keys, head_statements, signed_heads TO {runtime_role()}")
