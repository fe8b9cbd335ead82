-- When a family was bound to its key, if that was not at its beginning: for a moment after that an older tab ends nothing.
ALTER TABLE token_family ADD COLUMN bound_at BIGINT;
