-- Times are Unix nanoseconds, 0 for none. Texts named labels, annotations,
-- trackers, payload, draft, body and detail are JSON.
-- +goose Up
CREATE TABLE notifications (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      TEXT    NOT NULL,
    received_at BIGINT NOT NULL,
    clock       BIGINT NOT NULL,
    digest      TEXT    NOT NULL,
    body        BYTEA    NOT NULL,
    state       BIGINT NOT NULL DEFAULT 0, -- 0 pending, 1 done, 2 aside
    reason      TEXT    NOT NULL DEFAULT '',
    done_at     BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX notifications_pending ON notifications (digest) WHERE state = 0;
CREATE INDEX notifications_todo ON notifications (id) WHERE state = 0;
CREATE INDEX notifications_done ON notifications (done_at) WHERE state = 1;
CREATE INDEX notifications_aside ON notifications (id) WHERE state = 2;

CREATE TABLE incidents (
    id               TEXT COLLATE "C" PRIMARY KEY,
    ckey             TEXT    NOT NULL,
    version          BIGINT NOT NULL,
    status           TEXT    NOT NULL,
    severity         TEXT    NOT NULL,
    title            TEXT    NOT NULL,
    summary          TEXT    NOT NULL,
    started_at       BIGINT NOT NULL,
    ended_at         BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    told_at          BIGINT NOT NULL,
    labels           TEXT    NOT NULL,
    cause_entity     TEXT    NOT NULL,
    cause_alertname  TEXT    NOT NULL,
    cause_confidence DOUBLE PRECISION    NOT NULL,
    firing           BIGINT NOT NULL,
    total            BIGINT NOT NULL,
    trackers         TEXT    NOT NULL,
    pinned           BIGINT NOT NULL,
    merged_into      TEXT    NOT NULL,
    touched_at       BIGINT NOT NULL -- wall clock of the last write, for retention
);
-- One open incident for a key, whoever writes.
CREATE UNIQUE INDEX incidents_open_key ON incidents (ckey) WHERE status = 'open' AND merged_into = '';
-- Lists walk it backwards and look only at what matches.
CREATE INDEX incidents_list ON incidents (id, status, severity, started_at, ended_at, updated_at) WHERE merged_into = '';
CREATE INDEX incidents_status ON incidents (status, id) WHERE merged_into = '';
CREATE INDEX incidents_ended ON incidents (touched_at) WHERE ended_at > 0;

CREATE TABLE alerts (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint   TEXT    NOT NULL,
    starts_at     BIGINT NOT NULL,
    ends_at       BIGINT NOT NULL,
    status        TEXT    NOT NULL,
    incident_id   TEXT    NOT NULL, -- '' when kept out of incidents
    labels        TEXT    NOT NULL,
    annotations   TEXT    NOT NULL,
    generator_url TEXT    NOT NULL,
    external_url  TEXT    NOT NULL,
    group_key     TEXT    NOT NULL,
    receiver      TEXT    NOT NULL,
    received_at   BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    expired       BIGINT NOT NULL,
    claimed_at    BIGINT NOT NULL,
    why           TEXT    NOT NULL,
    touched_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX alerts_identity ON alerts (fingerprint, starts_at);
CREATE INDEX alerts_incident ON alerts (incident_id, id);
CREATE INDEX alerts_updated ON alerts (updated_at);
CREATE INDEX alerts_kept_out ON alerts (touched_at) WHERE incident_id = '';

CREATE TABLE timeline (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id TEXT    NOT NULL,
    at          BIGINT NOT NULL,
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
);

CREATE TABLE outbox (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id TEXT    NOT NULL,
    tracker     TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    payload     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    attempts    BIGINT NOT NULL,
    not_before  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    first_tried BIGINT NOT NULL,
    uncertain   BIGINT NOT NULL,
    last_error  TEXT    NOT NULL,
    reason      TEXT    NOT NULL
);
CREATE INDEX outbox_todo ON outbox (tracker, state, not_before) WHERE state IN ('pending', 'inflight');
CREATE INDEX outbox_order ON outbox (incident_id, tracker, id);
CREATE INDEX outbox_state ON outbox (state, id);

CREATE TABLE audit (
    seq     BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
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
    id   BIGINT PRIMARY KEY CHECK (id = 1),
    seq  BIGINT NOT NULL,
    hash TEXT    NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
-- +goose StatementBegin
CREATE FUNCTION audit_append_only() RETURNS trigger AS $$
BEGIN
    RAISE EXCEPTION 'audit records are never changed or deleted';
END;
$$ LANGUAGE plpgsql;
-- +goose StatementEnd
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();

CREATE TABLE local_tickets (
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    draft_key  TEXT    NOT NULL UNIQUE,
    draft      TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE TABLE local_comments (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number BIGINT NOT NULL REFERENCES local_tickets (number),
    key    TEXT    NOT NULL,
    body   TEXT    NOT NULL,
    at     BIGINT NOT NULL,
    UNIQUE (number, key)
);

-- Written to find out whether the store can be written to.
CREATE TABLE probe (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    at BIGINT NOT NULL
);
INSERT INTO probe (id, at) VALUES (1, 0);

-- +goose Down
DROP TABLE probe;
DROP TABLE local_comments;
DROP TABLE local_tickets;
DROP TABLE audit_head;
DROP TABLE audit;
DROP FUNCTION audit_append_only;
DROP TABLE outbox;
DROP TABLE tickets;
DROP TABLE timeline;
DROP TABLE alerts;
DROP TABLE incidents;
DROP TABLE notifications;
