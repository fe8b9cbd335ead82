-- What a registration was last held against, so that a start looks at those alone that were held against another policy.

-- An older node registers without these columns and replaces without them: its version is then another than the one that was held.
ALTER TABLE client_registration ADD COLUMN held_policy TEXT NOT NULL DEFAULT ''; -- a hash of the policy; empty: none
ALTER TABLE client_registration ADD COLUMN held_version BIGINT NOT NULL DEFAULT 0; -- the version that this is true of

CREATE INDEX client_registration_held ON client_registration (held_policy, client_id);
CREATE INDEX client_registration_overtaken ON client_registration (version, client_id)
    WHERE held_version <> version AND held_policy <> '';
-- Those that stay unused for ever, which a policy that has them go looks for.
CREATE INDEX client_registration_kept ON client_registration (client_id) WHERE expires_at IS NULL;
