-- Ranked causes (JSON), what became of what was sent, and what correlation learned.
-- +goose Up
ALTER TABLE incidents ADD COLUMN causes TEXT NOT NULL DEFAULT '[]';

CREATE TABLE noise (
    day       INTEGER NOT NULL, -- midnight UTC
    rule      TEXT NOT NULL,
    team      TEXT NOT NULL,
    kept      TEXT NOT NULL,
    notices   INTEGER NOT NULL,
    alerts    INTEGER NOT NULL,
    incidents INTEGER NOT NULL,
    tickets   INTEGER NOT NULL,
    PRIMARY KEY (day, rule, team, kept)
);

CREATE TABLE learned (
    name TEXT NOT NULL PRIMARY KEY,
    at   INTEGER NOT NULL,
    body BLOB NOT NULL
);

-- +goose Down
DROP TABLE learned;
DROP TABLE noise;
ALTER TABLE incidents DROP COLUMN causes;
