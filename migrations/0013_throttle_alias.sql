-- The names that lead to one person: what was typed in a login that succeeded, and what the upstream told of them then.
-- Attempts at any of them count for the person, too.
CREATE TABLE throttle_alias (
    -- The bucket of the name, hashed as in throttle.
    bucket_hash TEXT PRIMARY KEY NOT NULL,
    -- The bucket of the person, hashed alike.
    person_hash TEXT NOT NULL,
    -- When the name was seen last.
    seen_at BIGINT NOT NULL
);

CREATE INDEX throttle_alias_seen_at ON throttle_alias (seen_at);
