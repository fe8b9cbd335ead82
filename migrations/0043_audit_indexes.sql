-- A record's id was the end of each index, so that the newest records came out in order. It was most of what the audit wrote: those of one
-- second are put in order when somebody looks, and what one request or one login has left is put in order altogether.
-- Where there are very many records, the new ones may be there already (docs/operating.md).
DROP INDEX audit_recorded_at;
DROP INDEX audit_event;
DROP INDEX audit_account_id;
DROP INDEX audit_client_id;
DROP INDEX audit_upstream;
DROP INDEX audit_session_id;
DROP INDEX audit_family_id;
DROP INDEX audit_request_id;
DROP INDEX audit_flow_id;
DROP INDEX audit_name_hash;
DROP INDEX audit_address;
DROP INDEX audit_last_address;
CREATE INDEX IF NOT EXISTS audit_at ON audit (recorded_at);
CREATE INDEX IF NOT EXISTS audit_event_at ON audit (event, recorded_at);
CREATE INDEX IF NOT EXISTS audit_account_at ON audit (account_id, recorded_at) WHERE account_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_client_at ON audit (client_id, recorded_at) WHERE client_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_upstream_at ON audit (upstream, recorded_at) WHERE upstream IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_session_at ON audit (session_id, recorded_at) WHERE session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_family_at ON audit (family_id, recorded_at) WHERE family_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_of_request ON audit (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_of_flow ON audit (flow_id) WHERE flow_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_name_at ON audit (name_hash, recorded_at) WHERE name_hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_address_at ON audit (address, recorded_at) WHERE address IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_last_address_at ON audit (last_address, recorded_at) WHERE last_address IS NOT NULL;
