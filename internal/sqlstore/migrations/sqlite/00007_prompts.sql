-- The messages by which messengers ask about drafts, and what they show.
-- +goose Up
CREATE TABLE prompts (
    task_id     INTEGER NOT NULL,
    messenger   TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    ref         TEXT NOT NULL,
    hash        TEXT NOT NULL,
    approvals   INTEGER NOT NULL,
    waiting     INTEGER NOT NULL,
    PRIMARY KEY (task_id, messenger)
);
CREATE INDEX prompts_incident ON prompts (incident_id);

-- +goose Down
DROP TABLE prompts;
