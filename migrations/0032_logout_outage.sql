-- Clients that do not answer when they are to be told of a logout: until one notice is heard, one at a time is tried, from
-- next_at on, by whichever node takes it.
CREATE TABLE logout_outage (
    client_id TEXT   NOT NULL PRIMARY KEY REFERENCES client (id) ON DELETE CASCADE,
    since     BIGINT NOT NULL,
    failures  BIGINT NOT NULL, -- how many notices have failed, each counted once
    next_at   BIGINT NOT NULL
);

-- When a notice failed last: what failed in an outage is due again when that is over.
ALTER TABLE logout_notice ADD COLUMN failed_at BIGINT;

-- What waits, as it is asked for: by client, and there what was tried the least.
CREATE INDEX logout_notice_waiting ON logout_notice (client_id, attempts, next_at, id) WHERE next_at IS NOT NULL;
