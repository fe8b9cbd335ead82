-- Pushed authorization requests (RFC 9126), under the hash of their request_uri and sealed. One that no flow has taken up
-- goes when it ends; kept_until leaves the flows that did their time.
CREATE TABLE pushed_request (
    uri_hash   TEXT   NOT NULL PRIMARY KEY,
    client_id  TEXT   NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    sealed     TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    kept_until BIGINT NOT NULL,
    flow       TEXT -- the one that was answered
);
CREATE INDEX pushed_request_client ON pushed_request (client_id);
CREATE INDEX pushed_request_kept_until ON pushed_request (kept_until);
