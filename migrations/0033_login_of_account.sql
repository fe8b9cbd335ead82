-- The login that a session began with is looked for by its account and upstream, in the order of subjects. By the primary key alone
-- SQLite would go through everybody of the upstream in that order.
CREATE INDEX upstream_login_account_upstream ON upstream_login (account_id, upstream, subject);
DROP INDEX upstream_login_account;
