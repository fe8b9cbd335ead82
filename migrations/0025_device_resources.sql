-- Which APIs a device asks for (RFC 8707), as JSON. Empty: it named none, or an older node wrote the row.
ALTER TABLE device_code ADD COLUMN resources TEXT;
