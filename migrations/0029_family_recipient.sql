-- Where the tokens of a family went last, and to which program: when one is used twice, one of the two is a thief.
ALTER TABLE token_family ADD COLUMN last_address TEXT;
ALTER TABLE token_family ADD COLUMN last_user_agent TEXT;
