-- What was measured. Flags and reasons are the numbers of kawamori.domain.reading.

CREATE TABLE reading (
    sensor_id   integer NOT NULL,                -- no foreign key: a hot table
    observed_at timestamptz NOT NULL,
    value       float8 NOT NULL,
    flag        smallint NOT NULL,
    reasons     smallint NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (sensor_id, observed_at)
);
SELECT create_hypertable('reading', by_range('observed_at', INTERVAL '7 days'), create_default_indexes => false);

-- A value that gave way: two deliveries disagreed (the higher level stands), or a person corrected it.
CREATE TABLE reading_revision (
    sensor_id   integer NOT NULL,
    observed_at timestamptz NOT NULL,
    value       float8 NOT NULL,
    who         text NOT NULL,
    why         text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sensor_id, observed_at, value, who)
);

-- One row a sensor, made with the sensor. Whoever writes a sensor's readings locks this row first. The tail
-- (oldest first) is the recent past that quality control looks at, so that live data needs no query for it.
CREATE TABLE latest_reading (
    sensor_id      integer PRIMARY KEY,
    observed_at    timestamptz,
    value          float8,
    flag           smallint,
    reasons        smallint,
    received_at    timestamptz,
    trend_h        float8,                       -- units an hour
    flat_since     timestamptz,                  -- since when the value has not changed
    tail_times     timestamptz[] NOT NULL DEFAULT '{}',
    tail_values    float8[] NOT NULL DEFAULT '{}',
    tail_flags     smallint[] NOT NULL DEFAULT '{}',
    tail_reasons   smallint[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 40);

CREATE FUNCTION sensor_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO latest_reading (sensor_id) VALUES (NEW.sensor_id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER sensor_made AFTER INSERT ON sensor FOR EACH ROW EXECUTE FUNCTION sensor_made();

-- Summaries leave out failed readings. Sums are exact integers of millionths: any order gives the same row.
CREATE TABLE reading_hour (
    sensor_id integer NOT NULL,
    bucket    timestamptz NOT NULL,
    n         integer NOT NULL,
    sum_micro bigint NOT NULL,
    min       float8 NOT NULL,
    max       float8 NOT NULL,
    PRIMARY KEY (sensor_id, bucket)
) WITH (fillfactor = 70);

CREATE TABLE reading_day (
    sensor_id integer NOT NULL,
    bucket    timestamptz NOT NULL,              -- midnight in the station's time zone
    n         integer NOT NULL,
    sum_micro bigint NOT NULL,
    min       float8 NOT NULL,
    max       float8 NOT NULL,
    PRIMARY KEY (sensor_id, bucket)
) WITH (fillfactor = 70);

-- The change feed: one row a committed batch. Followers read in order of (xid, batch_id) and only below the
-- oldest transaction still running, so that a batch that commits late is never skipped.
CREATE TABLE ingest_batch (
    batch_id     bigint GENERATED ALWAYS AS IDENTITY,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    readings     integer NOT NULL,
    sensor_ids   integer[] NOT NULL,             -- touched sensors and, of each, the span
    starts       timestamptz[] NOT NULL,
    ends         timestamptz[] NOT NULL,
    PRIMARY KEY (xid, batch_id)
);

CREATE TABLE quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at   timestamptz NOT NULL,
    topic         text NOT NULL,
    device_id     text,
    reason        text NOT NULL,
    payload       bytea NOT NULL,
    gateway_id    text NOT NULL,
    digest        bytea GENERATED ALWAYS AS (sha256(payload)) STORED,
    UNIQUE (gateway_id, topic, received_at, digest)   -- a batch sent again changes nothing
);

CREATE TABLE device_status (
    device_id   text PRIMARY KEY,
    received_at timestamptz NOT NULL,
    status      jsonb NOT NULL
);
