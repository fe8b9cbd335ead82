-- Which APIs a grant and a consent are for (RFC 8707). Both may be empty: none was named, or an older node wrote the row.

-- JSON: those that the authorization request named.
ALTER TABLE token_family ADD COLUMN resources TEXT;
-- JSON: what was agreed to for each resource, by its identifier; scope is what was agreed to where none was named.
ALTER TABLE consent ADD COLUMN resources TEXT;
