-- Which apps have notices that stand in no queue yet, one step of an index for each app, however many notices that are.
CREATE INDEX logout_notice_unqueued_client ON logout_notice (client_id) WHERE queued_at IS NULL AND next_at IS NOT NULL;
