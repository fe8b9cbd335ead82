-- What else came from an address: where a record came from, and, of a replay, who was given the tokens before. An older node
-- does not fill last_address; the details of the record name it all the same.
ALTER TABLE audit ADD COLUMN last_address TEXT;
CREATE INDEX audit_address ON audit (address, recorded_at, id) WHERE address IS NOT NULL;
CREATE INDEX audit_last_address ON audit (last_address, recorded_at, id) WHERE last_address IS NOT NULL;
