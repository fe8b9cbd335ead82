-- What has been used and must not be used again before it ends: a jti of a client assertion, of a DPoP proof, of a
-- request object. id_hash is made of kind, owner and id, so that no id of one kind or owner meets one of another.
CREATE TABLE spent_id (
    id_hash    TEXT   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX spent_id_expires_at ON spent_id (expires_at);
