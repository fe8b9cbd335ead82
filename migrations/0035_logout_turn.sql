-- Whose turn it is to be told of a logout: one row for each client that has notices waiting, so that a look at the front of
-- the queue costs the same however many notices and clients there are. It may come too early, when a look finds nothing
-- and puts it where it belongs; never too late.
CREATE TABLE logout_turn (
    client_id TEXT   NOT NULL PRIMARY KEY REFERENCES client (id) ON DELETE CASCADE,
    origin    TEXT   NOT NULL, -- 'file' or 'registered': those that registered themselves have a budget
    due_at    BIGINT NOT NULL, -- not after the first of its notices, or the end of the pause while it does not answer
    turn      BIGINT NOT NULL  -- who was told something in the second due_at stands behind those that were not
);
CREATE INDEX logout_turn_due ON logout_turn (origin, due_at, turn, client_id);

-- When a notice's client was given its turn for it. An older node leaves it empty, as every logout does: the rows are put
-- in the queue in a step of its own, for no logout should wait for another one of the same client.
ALTER TABLE logout_notice ADD COLUMN queued_at BIGINT;
CREATE INDEX logout_notice_unqueued ON logout_notice (created_at, id) WHERE queued_at IS NULL AND next_at IS NOT NULL;

-- What has been tried, the longest waiting first. What has not is found by logout_notice_waiting.
CREATE INDEX logout_notice_tried ON logout_notice (client_id, next_at, id) WHERE next_at IS NOT NULL AND attempts > 0;
DROP INDEX logout_notice_next_at;
