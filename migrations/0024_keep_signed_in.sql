-- Since when a person is kept signed in in this browser, as they asked; empty: no longer than it runs. An older node fills
-- it with nothing, and ends such a session as early as every other.
ALTER TABLE session ADD COLUMN persistent_since BIGINT;
