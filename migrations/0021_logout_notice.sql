-- Which clients a session has logged somebody in to, of those that want to hear of its end. Far longer than a family or a
-- code may stay: a session lives for weeks.
CREATE TABLE session_client (
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    PRIMARY KEY (session_id, client_id)
);
CREATE INDEX session_client_client ON session_client (client_id);

-- What clients are still to be told (OpenID Connect Back-Channel Logout), and for a day what they were told. session_id
-- is the sid of the one session that ended; without it every login of the person at that client has.
CREATE TABLE logout_notice (
    id         TEXT   NOT NULL PRIMARY KEY,
    client_id  TEXT   NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    account_id TEXT   NOT NULL REFERENCES account (id),
    session_id TEXT,
    created_at BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    next_at    BIGINT,          -- NULL: it is over
    told_at    BIGINT,
    trouble    TEXT             -- what came of the last attempt that failed
);
CREATE INDEX logout_notice_next_at ON logout_notice (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX logout_notice_client ON logout_notice (client_id, next_at);
CREATE INDEX logout_notice_account ON logout_notice (account_id);
CREATE INDEX logout_notice_created_at ON logout_notice (created_at);
