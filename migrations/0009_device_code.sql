-- Device codes (RFC 8628), under their hashes, and under those of the codes that people type. A redeemed one stays for a
-- day, so that a replay is known for what it is. Whoever says yes is written down in account_id, session_id and
-- authentication; client_id alone ties a row to its app before that.
CREATE TABLE device_code (
    device_code_hash TEXT   NOT NULL PRIMARY KEY,
    user_code_hash   TEXT   NOT NULL UNIQUE,
    family_id        TEXT   NOT NULL UNIQUE,
    client_id        TEXT   NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    scope            TEXT   NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    poll_interval    BIGINT NOT NULL,
    next_poll_at     BIGINT NOT NULL,
    account_id       TEXT   REFERENCES account (id),
    session_id       TEXT   REFERENCES session (id),
    authentication   TEXT, -- JSON
    denied_at        BIGINT,
    redeemed_at      BIGINT
);
CREATE INDEX device_code_client ON device_code (client_id);
CREATE INDEX device_code_account ON device_code (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX device_code_session ON device_code (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX device_code_expires_at ON device_code (expires_at);
