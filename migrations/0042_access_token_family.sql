-- The family of an opaque access token, beside its claims: what stands behind the token is read together with it. Empty for a client's
-- own, and where an older node has written the row, which is read by itself.
ALTER TABLE access_token ADD COLUMN family_id TEXT;
