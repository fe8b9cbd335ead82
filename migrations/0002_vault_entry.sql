-- Tokens of upstreams, sealed with the master key for exactly this row: those of a person's login, one row a session and
-- upstream, and that of the service account, one row an upstream. sealed is empty while nothing is kept.
-- Whoever asks the upstream for new ones holds the lease; needs_login says since when only a new login helps.
CREATE TABLE vault_entry (
    id           TEXT   NOT NULL PRIMARY KEY, -- made of kind, session and upstream
    kind         TEXT   NOT NULL CHECK (kind IN ('person', 'service')),
    upstream     TEXT   NOT NULL,
    account_id   TEXT   REFERENCES account (id),
    session_id   TEXT   REFERENCES session (id) ON DELETE CASCADE,
    sealed       TEXT,
    version      BIGINT NOT NULL,
    lease_holder TEXT,
    lease_until  BIGINT,
    needs_login  BIGINT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    CHECK ((kind = 'person' AND session_id IS NOT NULL AND account_id IS NOT NULL)
        OR (kind = 'service' AND session_id IS NULL AND account_id IS NULL))
);
CREATE INDEX vault_entry_session ON vault_entry (session_id);
CREATE INDEX vault_entry_account ON vault_entry (account_id);
CREATE INDEX vault_entry_expires_at ON vault_entry (expires_at);
