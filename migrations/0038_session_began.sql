-- When a session began: a login within it moves auth_time. Without a value it began with the login.
ALTER TABLE session ADD COLUMN began_at BIGINT;
