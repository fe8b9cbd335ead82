-- Who did what, when, from where, with which client and upstream, and what came of it. Rows are added and, when they are
-- older than [audit] keep says, deleted; never changed. No foreign keys: a record outlives what it tells of.
CREATE TABLE audit (
    -- Unique, and in the order in which a node made them within a second.
    id          TEXT   NOT NULL PRIMARY KEY,
    recorded_at BIGINT NOT NULL,
    event       TEXT   NOT NULL,
    account_id  TEXT,
    client_id   TEXT,
    upstream    TEXT,
    session_id  TEXT,
    family_id   TEXT,
    -- The number on the error page, and the id of the log lines.
    request_id  TEXT,
    -- The login under way in one tab, from the app's request to the answer.
    flow_id     TEXT,
    address     TEXT,
    user_agent  TEXT,
    -- Of a user name that was typed and led nobody in: its keyed hash, for it may be a password.
    name_hash   TEXT,
    -- The rest, as JSON.
    details     TEXT   NOT NULL
);
CREATE INDEX audit_recorded_at ON audit (recorded_at, id);
CREATE INDEX audit_event ON audit (event, recorded_at, id);
CREATE INDEX audit_account_id ON audit (account_id, recorded_at, id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_client_id ON audit (client_id, recorded_at, id) WHERE client_id IS NOT NULL;
CREATE INDEX audit_upstream ON audit (upstream, recorded_at, id) WHERE upstream IS NOT NULL;
CREATE INDEX audit_session_id ON audit (session_id, recorded_at, id) WHERE session_id IS NOT NULL;
CREATE INDEX audit_family_id ON audit (family_id, recorded_at, id) WHERE family_id IS NOT NULL;
CREATE INDEX audit_request_id ON audit (request_id, recorded_at, id) WHERE request_id IS NOT NULL;
CREATE INDEX audit_flow_id ON audit (flow_id, recorded_at, id) WHERE flow_id IS NOT NULL;
CREATE INDEX audit_name_hash ON audit (name_hash, recorded_at, id) WHERE name_hash IS NOT NULL;
