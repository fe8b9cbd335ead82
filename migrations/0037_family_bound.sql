-- The refresh token that was shown when the family was bound to a key, if that was after its beginning: whoever shows that one, or one
-- before it, without the key is a second holder of it.
ALTER TABLE token_family ADD COLUMN bound_generation BIGINT;
