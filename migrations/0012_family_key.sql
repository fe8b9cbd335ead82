-- The key that the refresh tokens of a public client are bound to (RFC 9449 section 5); empty: none, and for older nodes.
ALTER TABLE token_family ADD COLUMN jkt TEXT;
