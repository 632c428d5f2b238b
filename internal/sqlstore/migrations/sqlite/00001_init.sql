-- Times are Unix nanoseconds, 0 for none. Texts named labels, annotations,
-- trackers, payload, draft, body and detail are JSON.
-- +goose Up
CREATE TABLE notifications (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source      TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    clock       INTEGER NOT NULL,
    digest      TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    state       INTEGER NOT NULL DEFAULT 0, -- 0 pending, 1 done, 2 aside
    reason      TEXT    NOT NULL DEFAULT '',
    done_at     INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX notifications_pending ON notifications (digest) WHERE state = 0;
CREATE INDEX notifications_todo ON notifications (id) WHERE state = 0;
CREATE INDEX notifications_done ON notifications (done_at) WHERE state = 1;
CREATE INDEX notifications_aside ON notifications (id) WHERE state = 2;

CREATE TABLE incidents (
    id               TEXT    PRIMARY KEY,
    ckey             TEXT    NOT NULL,
    version          INTEGER NOT NULL,
    status           TEXT    NOT NULL,
    severity         TEXT    NOT NULL,
    title            TEXT    NOT NULL,
    summary          TEXT    NOT NULL,
    started_at       INTEGER NOT NULL,
    ended_at         INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    told_at          INTEGER NOT NULL,
    labels           TEXT    NOT NULL,
    cause_entity     TEXT    NOT NULL,
    cause_alertname  TEXT    NOT NULL,
    cause_confidence REAL    NOT NULL,
    firing           INTEGER NOT NULL,
    total            INTEGER NOT NULL,
    trackers         TEXT    NOT NULL,
    pinned           INTEGER NOT NULL,
    merged_into      TEXT    NOT NULL,
    touched_at       INTEGER NOT NULL -- wall clock of the last write, for retention
) WITHOUT ROWID;
-- One open incident for a key, whoever writes.
CREATE UNIQUE INDEX incidents_open_key ON incidents (ckey) WHERE status = 'open' AND merged_into = '';
-- Lists walk it backwards and look only at what matches.
CREATE INDEX incidents_list ON incidents (id, status, severity, started_at, ended_at, updated_at) WHERE merged_into = '';
CREATE INDEX incidents_status ON incidents (status, id) WHERE merged_into = '';
CREATE INDEX incidents_ended ON incidents (touched_at) WHERE ended_at > 0;

CREATE TABLE alerts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint   TEXT    NOT NULL,
    starts_at     INTEGER NOT NULL,
    ends_at       INTEGER NOT NULL,
    status        TEXT    NOT NULL,
    incident_id   TEXT    NOT NULL, -- '' when kept out of incidents
    labels        TEXT    NOT NULL,
    annotations   TEXT    NOT NULL,
    generator_url TEXT    NOT NULL,
    external_url  TEXT    NOT NULL,
    group_key     TEXT    NOT NULL,
    receiver      TEXT    NOT NULL,
    received_at   INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    claimed_at    INTEGER NOT NULL,
    why           TEXT    NOT NULL,
    touched_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX alerts_identity ON alerts (fingerprint, starts_at);
CREATE INDEX alerts_incident ON alerts (incident_id, id);
CREATE INDEX alerts_updated ON alerts (updated_at);
CREATE INDEX alerts_kept_out ON alerts (touched_at) WHERE incident_id = '';

CREATE TABLE timeline (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    text        TEXT    NOT NULL
);
CREATE INDEX timeline_incident ON timeline (incident_id, id);

CREATE TABLE tickets (
    incident_id TEXT NOT NULL,
    tracker     TEXT NOT NULL,
    key         TEXT NOT NULL,
    ext_id      TEXT NOT NULL,
    url         TEXT NOT NULL,
    status      TEXT NOT NULL,
    PRIMARY KEY (incident_id, tracker)
) WITHOUT ROWID;

CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id TEXT    NOT NULL,
    tracker     TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    payload     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    first_tried INTEGER NOT NULL,
    uncertain   INTEGER NOT NULL,
    last_error  TEXT    NOT NULL,
    reason      TEXT    NOT NULL
);
CREATE INDEX outbox_todo ON outbox (tracker, state, not_before) WHERE state IN ('pending', 'inflight');
CREATE INDEX outbox_order ON outbox (incident_id, tracker, id);
CREATE INDEX outbox_state ON outbox (state, id);

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    prev    TEXT    NOT NULL,
    hash    TEXT    NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_subject ON audit (subject, seq);
-- The head of the chain: it tells when records were cut off at the end.
CREATE TABLE audit_head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash TEXT    NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
-- +goose StatementBegin
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit records are never deleted'); END;
-- +goose StatementEnd

CREATE TABLE local_tickets (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    draft_key  TEXT    NOT NULL UNIQUE,
    draft      TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE TABLE local_comments (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    number INTEGER NOT NULL REFERENCES local_tickets (number),
    key    TEXT    NOT NULL,
    body   TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    UNIQUE (number, key)
);

-- Written to find out whether the store can be written to.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
);
INSERT INTO probe (id, at) VALUES (1, 0);

-- +goose Down
DROP TABLE probe;
DROP TABLE local_comments;
DROP TABLE local_tickets;
DROP TABLE audit_head;
DROP TABLE audit;
DROP TABLE outbox;
DROP TABLE tickets;
DROP TABLE timeline;
DROP TABLE alerts;
DROP TABLE incidents;
DROP TABLE notifications;
