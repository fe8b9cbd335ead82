-- A client's families are gone through in the order of their ids: without it in the index each few of them sort all that there are.
DROP INDEX token_family_client;
CREATE INDEX token_family_client ON token_family (client_id, id);
