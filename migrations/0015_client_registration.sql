-- Clients that registered themselves (RFC 7591). Their registration is in client, as that of every other; a client without a
-- row here is owned by the configuration files.

-- No ON DELETE CASCADE: an older node, which would take such a client for one that is in its files no more and remove it,
-- fails instead.
CREATE TABLE client_registration (
    client_id            TEXT   NOT NULL PRIMARY KEY REFERENCES client (id),
    access_token_hash    TEXT   NOT NULL,
    initial_access_token TEXT,            -- whose it was; no foreign key, for it outlives the token
    issued_at            BIGINT NOT NULL,
    used_at              BIGINT,          -- to the day; empty: never
    expires_at           BIGINT           -- when it goes unless it is used; empty: it stays
);
CREATE INDEX client_registration_expires_at ON client_registration (expires_at) WHERE expires_at IS NOT NULL;

-- One row, which is held while clients are counted, so that no more than allowed slip in at once.
CREATE TABLE client_registration_lock (
    id       TEXT   NOT NULL PRIMARY KEY,
    taken_at BIGINT NOT NULL
);
INSERT INTO client_registration_lock (id, taken_at) VALUES ('all', 0);
