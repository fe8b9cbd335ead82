-- `portico user list` shows the newest first, without a look at everybody.
CREATE INDEX account_created_at ON account (created_at, id);
