-- Several upstream logins of one account. Every column may be empty: an older node fills none of them, and runs on.

-- The account that this one was linked into. It is closed for good, for apps may know its subject.
ALTER TABLE account ADD COLUMN merged_into TEXT REFERENCES account (id);

-- What the upstream said at the last login by this way; empty: what the account holds. JSON.
ALTER TABLE upstream_login ADD COLUMN profile TEXT;
ALTER TABLE upstream_login ADD COLUMN linked_at BIGINT;
ALTER TABLE upstream_login ADD COLUMN last_login_at BIGINT;

-- With session.upstream: the login that the session began with.
ALTER TABLE session ADD COLUMN upstream_subject TEXT;
