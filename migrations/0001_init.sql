-- The first schema. Two column types only, TEXT and BIGINT, so that one text serves SQLite and PostgreSQL.
-- Times are Unix seconds; a flag is a nullable time; sets and records that no statement looks into are JSON.
-- A shipped migration is never edited: add the next one, expand first and contract later.

-- Registered clients, owned by the configuration files and reconciled from them.
CREATE TABLE client (
    id           TEXT   NOT NULL PRIMARY KEY,
    registration TEXT   NOT NULL, -- JSON
    secrets      TEXT   NOT NULL, -- JSON, hashes only
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL
);

-- The web origins of the clients' redirect URIs, so that CORS is answered by one look-up.
CREATE TABLE client_origin (
    origin    TEXT NOT NULL,
    client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    PRIMARY KEY (origin, client_id)
);
CREATE INDEX client_origin_client ON client_origin (client_id);

-- People. Never swept.
CREATE TABLE account (
    id          TEXT   NOT NULL PRIMARY KEY,
    subject     TEXT   NOT NULL UNIQUE,
    profile     TEXT   NOT NULL, -- JSON
    created_at  BIGINT NOT NULL,
    disabled_at BIGINT
);

-- What leads to an account: the upstream and its stable id for the person, nothing else.
CREATE TABLE upstream_login (
    upstream   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES account (id),
    PRIMARY KEY (upstream, subject)
);
CREATE INDEX upstream_login_account ON upstream_login (account_id);

-- Browser sessions. kept_until is the latest end of the session and of everything that refers to it.
CREATE TABLE session (
    id           TEXT   NOT NULL PRIMARY KEY,
    secret_hash  TEXT   NOT NULL UNIQUE,
    account_id   TEXT   NOT NULL REFERENCES account (id),
    upstream     TEXT   NOT NULL,
    auth_time    BIGINT NOT NULL,
    amr          TEXT   NOT NULL, -- JSON
    last_seen_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT,
    kept_until   BIGINT NOT NULL
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_kept_until ON session (kept_until);

-- Authorization codes; a redeemed one stays for a day, so that a replay is known for what it is.
CREATE TABLE authorization_code (
    code_hash   TEXT   NOT NULL PRIMARY KEY,
    family_id   TEXT   NOT NULL UNIQUE,
    client_id   TEXT   NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    account_id  TEXT   NOT NULL REFERENCES account (id),
    session_id  TEXT   NOT NULL REFERENCES session (id),
    code_grant  TEXT   NOT NULL, -- JSON
    expires_at  BIGINT NOT NULL,
    redeemed_at BIGINT
);
CREATE INDEX authorization_code_client ON authorization_code (client_id);
CREATE INDEX authorization_code_account ON authorization_code (account_id);
CREATE INDEX authorization_code_session ON authorization_code (session_id);
CREATE INDEX authorization_code_expires_at ON authorization_code (expires_at);

-- Families of refresh tokens: one row, updated in place. No index holds a column that a rotation writes.
-- client_id has no foreign key: a revoked family outlives its client until it is swept.
CREATE TABLE token_family (
    id         TEXT   NOT NULL PRIMARY KEY,
    client_id  TEXT   NOT NULL,
    account_id TEXT   NOT NULL REFERENCES account (id),
    session_id TEXT   NOT NULL REFERENCES session (id),
    upstream   TEXT   NOT NULL,
    auth_time  BIGINT NOT NULL,
    amr        TEXT   NOT NULL, -- JSON
    scope      TEXT   NOT NULL,
    offline    BIGINT NOT NULL CHECK (offline IN (0, 1)),
    generation BIGINT,
    created_at BIGINT NOT NULL,
    rotated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX token_family_account_client ON token_family (account_id, client_id, created_at);
CREATE INDEX token_family_client ON token_family (client_id);
CREATE INDEX token_family_session ON token_family (session_id);
CREATE INDEX token_family_expires_at ON token_family (expires_at);
CREATE INDEX token_family_revoked_at ON token_family (revoked_at) WHERE revoked_at IS NOT NULL;

-- Remembered consents. One that was given to a removed client must not serve a later one of the same name.
CREATE TABLE consent (
    account_id TEXT   NOT NULL REFERENCES account (id),
    client_id  TEXT   NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    scope      TEXT   NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, client_id)
);
CREATE INDEX consent_client ON consent (client_id);

-- Signing keys, sealed with the master key. The generation lets one of two racing nodes win.
CREATE TABLE signing_key (
    kid          TEXT   NOT NULL PRIMARY KEY,
    algorithm    TEXT   NOT NULL,
    generation   BIGINT NOT NULL,
    sealed       TEXT   NOT NULL,
    announced_at BIGINT NOT NULL,
    active_at    BIGINT NOT NULL,
    retired_at   BIGINT,
    expires_at   BIGINT,
    UNIQUE (algorithm, generation)
);

-- Sealed authorization requests that are too large for a cookie.
CREATE TABLE pending_request (
    handle_hash TEXT   NOT NULL PRIMARY KEY,
    sealed      TEXT   NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX pending_request_expires_at ON pending_request (expires_at);

-- Login attempts under the hash of their bucket: no user name is stored.
CREATE TABLE throttle (
    bucket_hash    TEXT   NOT NULL PRIMARY KEY,
    attempts       BIGINT NOT NULL,
    window_ends_at BIGINT NOT NULL
);
CREATE INDEX throttle_window_ends_at ON throttle (window_ends_at);
