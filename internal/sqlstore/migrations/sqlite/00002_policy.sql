-- What the policy said of a task, and who let it go. authorized is the hash of the
-- payload that may be sent; tasks of before have neither it nor a phase. The why of
-- outbox is JSON.
-- +goose Up
ALTER TABLE outbox ADD COLUMN phase TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN rule TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN why TEXT NOT NULL DEFAULT '[]';
ALTER TABLE outbox ADD COLUMN needs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN decided_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN payload_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN authorized TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN by_person INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN edited_by TEXT NOT NULL DEFAULT '';
CREATE INDEX outbox_rule ON outbox (rule, decided_at) WHERE kind = 'create' AND phase = 'auto';
CREATE INDEX outbox_held ON outbox (expires_at, id) WHERE state = 'held';

CREATE TABLE approvals (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id        INTEGER NOT NULL,
    incident_id    TEXT NOT NULL,
    actor          TEXT NOT NULL,
    reason         TEXT NOT NULL,
    payload_sha256 TEXT NOT NULL, -- what was seen and approved
    at             INTEGER NOT NULL,
    UNIQUE (task_id, payload_sha256, actor)
);
CREATE INDEX approvals_incident ON approvals (incident_id);

-- The last verdict on each incident.
CREATE TABLE feedback (
    incident_id TEXT NOT NULL PRIMARY KEY,
    cluster     TEXT NOT NULL,
    class       TEXT NOT NULL,
    verdict     TEXT NOT NULL, -- '' when it was taken back
    actor       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    sent_at     INTEGER NOT NULL, -- the at that was told to the exporter last
    tries       INTEGER NOT NULL,
    not_before  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX feedback_class ON feedback (cluster, class, at);
CREATE INDEX feedback_unsent ON feedback (not_before) WHERE sent_at < at;

CREATE TABLE switches (
    name    TEXT NOT NULL PRIMARY KEY,
    engaged INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
    id         TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the cookie
    data       TEXT NOT NULL,             -- JSON: who it is
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_expires ON sessions (expires_at);

-- What changed lately, for pages that are looked at.
CREATE INDEX incidents_touched ON incidents (touched_at);

-- +goose Down
DROP INDEX incidents_touched;
DROP TABLE sessions;
DROP TABLE switches;
DROP TABLE feedback;
DROP TABLE approvals;
DROP INDEX outbox_held;
DROP INDEX outbox_rule;
ALTER TABLE outbox DROP COLUMN edited_by;
ALTER TABLE outbox DROP COLUMN by_person;
ALTER TABLE outbox DROP COLUMN authorized;
ALTER TABLE outbox DROP COLUMN payload_sha256;
ALTER TABLE outbox DROP COLUMN decided_at;
ALTER TABLE outbox DROP COLUMN expires_at;
ALTER TABLE outbox DROP COLUMN needs;
ALTER TABLE outbox DROP COLUMN why;
ALTER TABLE outbox DROP COLUMN policy;
ALTER TABLE outbox DROP COLUMN rule;
ALTER TABLE outbox DROP COLUMN phase;
