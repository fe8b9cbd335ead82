-- The configuration that a server started with last, secrets masked: what changed since is recorded. One row.
CREATE TABLE configuration (
    id         BIGINT PRIMARY KEY,
    effective  TEXT   NOT NULL,
    changed_at BIGINT NOT NULL
);
