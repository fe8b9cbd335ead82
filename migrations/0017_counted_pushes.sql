-- The throttle bucket that a pushed request counts in until it is answered; empty: none.
ALTER TABLE pushed_request ADD COLUMN bucket_hash TEXT;

-- How often a registration was replaced, so that nobody replaces what they have not read.
ALTER TABLE client_registration ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
