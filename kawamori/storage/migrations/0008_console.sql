-- What the console shows of a place and of the chain behind it.

ALTER TABLE station ADD COLUMN ward_ja text, ADD COLUMN ward_en text;

-- The river bed across the stream, left bank first looking downstream.
CREATE TABLE cross_section (
    station_id text NOT NULL REFERENCES station,
    valid_from timestamptz NOT NULL,
    points     jsonb NOT NULL,                   -- [[metres from the left end, metres above gauge zero], …]
    PRIMARY KEY (station_id, valid_from)
);

CREATE TRIGGER registry_changed AFTER INSERT OR UPDATE OR DELETE ON cross_section
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();

-- Signs of life of services that have no other: without them a dead ingest looks like silent sensors.
CREATE TABLE process (
    name    text PRIMARY KEY,
    service text NOT NULL,
    seen_at timestamptz NOT NULL
);

-- Since when a gateway holds rows of which none is committed.
ALTER TABLE gateway ADD COLUMN held_since timestamptz;

-- Through which gateway a sensor's readings last came.
CREATE TABLE sensor_gateway (
    sensor_id  integer PRIMARY KEY,
    gateway_id text NOT NULL
);

-- How many messages were refused lately.
CREATE INDEX quarantine_by_time ON quarantine (received_at);
