-- What Alertmanager's event recorder told, one row for each day and alert or delivery.
-- +goose Up
CREATE TABLE recorded (
    day  INTEGER NOT NULL, -- midnight UTC
    what TEXT NOT NULL,
    by_  TEXT NOT NULL,
    id   TEXT NOT NULL,
    rule TEXT NOT NULL,
    team TEXT NOT NULL,
    PRIMARY KEY (day, what, by_, id)
);

-- +goose Down
DROP TABLE recorded;
