-- What was played from files, so that it can be taken off again.

CREATE TABLE replay (
    replay_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     bytea NOT NULL,                   -- SHA-256 of the file
    file       text NOT NULL,
    shift      interval NOT NULL,                -- how far its times were moved
    played_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    played_by  text NOT NULL,
    removed_at timestamptz,
    removed_by text
);
CREATE INDEX replay_by_digest ON replay (digest, replay_id);

CREATE TABLE replay_station (
    replay_id  bigint NOT NULL REFERENCES replay,
    station_id text NOT NULL,                    -- no foreign key: the record outlives the station
    device_id  text NOT NULL,
    quantity   text NOT NULL,
    made       boolean NOT NULL,                 -- the replay registered the station
    PRIMARY KEY (replay_id, station_id)
);
