-- What an authorization request asks for beside its scope. Every column may be empty: an older node fills none of them.

-- What a login proves (the claim `acr`).
ALTER TABLE session ADD COLUMN acr TEXT;
ALTER TABLE token_family ADD COLUMN acr TEXT;

-- The parameter `claims`, as far as the client may ask; empty: nothing. JSON.
ALTER TABLE token_family ADD COLUMN claims TEXT;

-- The single claims agreed to beside the scope; empty: none. JSON.
ALTER TABLE consent ADD COLUMN claims TEXT;
