-- Opaque access tokens, and those of any other form that were revoked before their end. An older node makes neither.

-- Access tokens that say nothing by themselves, under the keyed hash of their text; claims is what a JWT would say.
CREATE TABLE access_token (
    token_hash TEXT   NOT NULL PRIMARY KEY,
    claims     TEXT   NOT NULL, -- JSON
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_token_expires_at ON access_token (expires_at);

-- Access tokens that are JWTs and were revoked, by their jti; needed no longer than they would have lived.
CREATE TABLE revoked_token (
    jti        TEXT   NOT NULL PRIMARY KEY,
    revoked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_token_expires_at ON revoked_token (expires_at);
