-- Where a login came from, for its person to know their sessions by. Every column may be empty: an older node fills none
-- of them. They go when the session ends, and the sweep empties those of sessions that have passed their last moment.
ALTER TABLE session ADD COLUMN browser TEXT; -- what kind, a word of a closed set
ALTER TABLE session ADD COLUMN system TEXT;  -- likewise
ALTER TABLE session ADD COLUMN address TEXT;

-- For the sweep.
CREATE INDEX session_address ON session (expires_at) WHERE address IS NOT NULL OR browser IS NOT NULL OR system IS NOT NULL;
