-- Ranked causes (JSON), what became of what was sent, and what correlation learned.
-- +goose Up
ALTER TABLE incidents ADD COLUMN causes TEXT NOT NULL DEFAULT '[]';

CREATE TABLE noise (
    day       BIGINT NOT NULL, -- midnight UTC
    rule      TEXT NOT NULL,
    team      TEXT NOT NULL,
    kept      TEXT NOT NULL,
    notices   BIGINT NOT NULL,
    alerts    BIGINT NOT NULL,
    incidents BIGINT NOT NULL,
    tickets   BIGINT NOT NULL,
    PRIMARY KEY (day, rule, team, kept)
);

CREATE TABLE learned (
    name TEXT NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL,
    body BYTEA NOT NULL
);

-- +goose Down
DROP TABLE learned;
DROP TABLE noise;
ALTER TABLE incidents DROP COLUMN causes;
