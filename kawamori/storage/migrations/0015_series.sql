-- A device's newest statement of a moment stands, people correct readings, counters become amounts; hours are those of the
-- station's clock, and amounts count for the period that they end.

-- What a moment was once said to be: now also its flag. A value that comes twice with one flag is kept once.
ALTER TABLE reading_revision
    ADD COLUMN flag smallint,                    -- NULL: written before flags were kept
    ADD COLUMN reasons smallint,
    DROP CONSTRAINT reading_revision_pkey;
CREATE UNIQUE INDEX reading_revision_once ON reading_revision (sensor_id, observed_at, value, flag, reasons, who) NULLS NOT DISTINCT;

-- Where several devices measure for one sensor: what each last stated about a moment.
CREATE TABLE reading_statement (
    sensor_id   integer NOT NULL,
    observed_at timestamptz NOT NULL,
    device_id   text NOT NULL,                   -- empty: from the time when one device alone measured there
    value       float8 NOT NULL,
    stated_at   timestamptz NOT NULL,            -- when a gateway heard it
    disputed    boolean NOT NULL,                -- it stated another value at the same time
    PRIMARY KEY (sensor_id, observed_at, device_id)
);

-- Running totals as devices state them; the increments are the readings.
CREATE TABLE counter_total (
    sensor_id   integer NOT NULL,
    device_id   text NOT NULL,
    observed_at timestamptz NOT NULL,
    total       float8 NOT NULL,                 -- in the sensor's unit
    stated_at   timestamptz NOT NULL,
    disputed    boolean NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (sensor_id, device_id, observed_at)
);

-- What people say of readings. Ingest applies it and whatever arrives later obeys it; undone is not deleted.
CREATE TABLE correction (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sensor_id     integer NOT NULL REFERENCES sensor,
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL CHECK (ends_at >= starts_at),   -- both included
    kind          text NOT NULL CHECK (kind IN ('value', 'offset', 'condemn')),
    amount        float8 CHECK ((amount IS NULL) = (kind = 'condemn')),
    who           text NOT NULL,
    why           text NOT NULL,
    made_at       timestamptz NOT NULL DEFAULT now(),
    undone_at     timestamptz,
    undone_by     text,
    applied       boolean NOT NULL DEFAULT false, -- whether the readings show it as it stands; undoing makes it false again
    refused       text                           -- why the database would not have it
);
CREATE INDEX correction_by_sensor ON correction (sensor_id, starts_at);
CREATE INDEX correction_to_apply ON correction (correction_id) WHERE NOT applied AND refused IS NULL;

-- The summaries that are cut anew: of amounts, and of stations whose clock is not a whole hour from UTC. What lies before the
-- raw readings that are kept stays as it was.
CREATE TEMPORARY TABLE cut_anew ON COMMIT DROP AS
SELECT s.sensor_id, t.time_zone, CASE WHEN q.is_amount THEN interval '1 microsecond' ELSE '0' END AS shift,
    coalesce((SELECT kept_from + interval '2 days' FROM retention), '-infinity') AS kept
FROM sensor s JOIN station t USING (station_id) JOIN quantity q USING (quantity)
WHERE q.is_amount OR (t.time_zone IN (SELECT name FROM pg_timezone_names)
    AND extract(minute FROM now() AT TIME ZONE 'UTC' - now() AT TIME ZONE t.time_zone) <> 0);
DELETE FROM cut_anew WHERE time_zone NOT IN (SELECT name FROM pg_timezone_names);
DELETE FROM reading_hour h USING cut_anew c WHERE h.sensor_id = c.sensor_id AND h.bucket >= date_trunc('day', c.kept, c.time_zone);
INSERT INTO reading_hour (sensor_id, bucket, n, sum_micro, min, max)
SELECT c.sensor_id, date_trunc('hour', r.observed_at - c.shift, c.time_zone) AS hour, count(*),
    sum(round(r.value * 1000000)::bigint), min(r.value), max(r.value)
FROM cut_anew c JOIN reading r USING (sensor_id)
WHERE r.flag NOT IN (4, 9) AND r.observed_at - c.shift >= date_trunc('day', c.kept, c.time_zone) GROUP BY 1, 2;
DELETE FROM reading_day d USING cut_anew c WHERE d.sensor_id = c.sensor_id AND c.shift > '0'
    AND d.bucket >= date_trunc('day', c.kept, c.time_zone);
INSERT INTO reading_day (sensor_id, bucket, n, sum_micro, min, max)
SELECT c.sensor_id, date_trunc('day', r.observed_at - c.shift, c.time_zone) AS day, count(*),
    sum(round(r.value * 1000000)::bigint), min(r.value), max(r.value)
FROM cut_anew c JOIN reading r USING (sensor_id)
WHERE c.shift > '0' AND r.flag NOT IN (4, 9) AND r.observed_at - c.shift >= date_trunc('day', c.kept, c.time_zone) GROUP BY 1, 2;

-- Last, because it locks the table: when the statement that stands was made, if not with the first one of its moment, and what
-- the device stated where a person's correction stands. Most rows have neither, and a NULL takes no room.
ALTER TABLE reading ADD COLUMN stated_at timestamptz, ADD COLUMN stated float8;
