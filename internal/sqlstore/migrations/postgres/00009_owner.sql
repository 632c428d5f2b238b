-- The session of the process that has a task in flight, 0 for none; see session.go.
-- +goose Up
ALTER TABLE outbox ADD COLUMN owner BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE outbox DROP COLUMN owner;
