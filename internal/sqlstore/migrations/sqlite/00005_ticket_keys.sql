-- A tracker's webhook names a ticket, not an incident.
-- +goose Up
CREATE INDEX tickets_key ON tickets (key);
CREATE INDEX tickets_ext_id ON tickets (ext_id) WHERE ext_id <> '';

-- +goose Down
DROP INDEX tickets_ext_id;
DROP INDEX tickets_key;
