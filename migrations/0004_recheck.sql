-- What the upstream said of a login since, and when. Every column may be empty: an older node fills none of them.

-- When the upstream last said that the person is who they are: at a login, or asked anew.
ALTER TABLE upstream_login ADD COLUMN checked_at BIGINT;
-- Since when somebody asks it; empty: nobody.
ALTER TABLE upstream_login ADD COLUMN checking_since BIGINT;
-- Nobody asks before then: it is being asked, or has just not answered.
ALTER TABLE upstream_login ADD COLUMN check_after BIGINT;
-- When it said that the person may not come in any more. The next login that it accepts empties it.
ALTER TABLE upstream_login ADD COLUMN refused_at BIGINT;

-- Those who are logged in were checked when they logged in.
UPDATE upstream_login SET checked_at =
    (SELECT MAX(auth_time) FROM session
     WHERE session.account_id = upstream_login.account_id AND session.upstream = upstream_login.upstream);
