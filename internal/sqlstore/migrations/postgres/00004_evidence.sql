-- What was found about incidents (body is JSON), and events of Kubernetes.
-- +goose Up
CREATE TABLE dossiers (
    incident_id TEXT NOT NULL PRIMARY KEY,
    at          BIGINT NOT NULL,
    body        TEXT NOT NULL
);

CREATE TABLE object_events (
    uid       TEXT NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,
    cluster   TEXT NOT NULL,
    namespace TEXT NOT NULL,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    node      TEXT NOT NULL, -- '' when it is not known
    reason    TEXT NOT NULL,
    message   TEXT NOT NULL,
    warning   BIGINT NOT NULL,
    count     BIGINT NOT NULL
);
CREATE INDEX object_events_namespace ON object_events (namespace, at);
CREATE INDEX object_events_node ON object_events (node, at) WHERE node <> '';
CREATE INDEX object_events_at ON object_events (at);

-- +goose Down
DROP TABLE object_events;
DROP TABLE dossiers;
