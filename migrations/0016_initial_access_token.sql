-- Tokens that let whoever has one register clients (RFC 7591 section 1.2), made and revoked by administrators.
CREATE TABLE initial_access_token (
    id         TEXT   NOT NULL PRIMARY KEY,
    token_hash TEXT   NOT NULL UNIQUE,
    label      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    uses_left  BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX initial_access_token_expires_at ON initial_access_token (expires_at);
