-- Where: rivers, stations and what is dated about them. Who measures: sensors, devices, deployments.

CREATE TABLE unit (
    symbol    text PRIMARY KEY,
    dimension text NOT NULL,
    scale     float8 NOT NULL,           -- base = value * scale + shift
    shift     float8 NOT NULL DEFAULT 0
);

CREATE TABLE quantity (
    quantity    text PRIMARY KEY,
    unit        text NOT NULL REFERENCES unit,   -- what it is stored in
    name_ja     text NOT NULL,
    name_en     text NOT NULL,
    range_min   float8,                          -- quality limits where a sensor has none of its own
    range_max   float8,
    max_step    float8,                          -- a step larger than this …
    max_rate_h  float8,                          -- … and faster than this an hour is suspect
    spike       float8,                          -- leaves by more than this and comes back
    flat_after  interval                         -- unchanged for this long while above flat_above
);

CREATE TABLE river (
    river_id text PRIMARY KEY,
    name_ja  text NOT NULL,
    name_en  text NOT NULL,
    course   jsonb                               -- [[lon, lat], …] from the source down, for the map
);

CREATE TABLE station (
    station_id text PRIMARY KEY,
    name_ja    text NOT NULL,
    name_en    text NOT NULL,
    river_id   text NOT NULL REFERENCES river,
    lon        float8,
    lat        float8,
    km         float8,                           -- distance from the mouth along the river
    time_zone  text NOT NULL DEFAULT 'Asia/Tokyo'
);

CREATE TABLE datum (
    station_id      text NOT NULL REFERENCES station,
    valid_from      timestamptz NOT NULL,
    gauge_zero_tp_m float8 NOT NULL,
    PRIMARY KEY (station_id, valid_from)
);

-- Marks on the bank, above gauge zero: levee crests, design high water, where a crisis gauge starts to report.
CREATE TABLE mark (
    station_id text NOT NULL REFERENCES station,
    kind       text NOT NULL CHECK (kind IN ('crest_left', 'crest_right', 'design_high_water', 'observation_start', 'observation_stop')),
    valid_from timestamptz NOT NULL,
    value_m    float8 NOT NULL,
    PRIMARY KEY (station_id, kind, valid_from)
);

CREATE TABLE flood_level (
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 5),
    valid_from timestamptz NOT NULL,
    name_ja    text NOT NULL,
    name_en    text NOT NULL,
    colour     text NOT NULL,
    text_colour text NOT NULL,
    PRIMARY KEY (level, valid_from)
);

CREATE TABLE threshold (
    station_id   text NOT NULL REFERENCES station,
    level        smallint NOT NULL CHECK (level BETWEEN 1 AND 5),
    valid_from   timestamptz NOT NULL,
    valid_to     timestamptz CHECK (valid_to > valid_from),
    value_m      float8 NOT NULL,
    hysteresis_m float8 NOT NULL DEFAULT 0.05 CHECK (hysteresis_m >= 0),
    hold         interval NOT NULL DEFAULT '0',
    PRIMARY KEY (station_id, level, valid_from)
);

CREATE TABLE sensor (
    sensor_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    station_id   text NOT NULL REFERENCES station,
    quantity     text NOT NULL REFERENCES quantity,
    report_every interval NOT NULL DEFAULT '10 minutes',
    report_every_low interval,                   -- while the water is below observation_start
    range_min    float8, range_max float8,       -- these override the quantity's
    max_step     float8, max_rate_h float8,
    spike        float8, flat_after interval, flat_above float8,
    UNIQUE (station_id, quantity)
);

CREATE TABLE device (
    device_id     text PRIMARY KEY CHECK (device_id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    kind          text NOT NULL DEFAULT '',
    registered_at timestamptz NOT NULL DEFAULT now()
);

-- Which device measures for which sensor, and how its number becomes ours: value * scale + shift
-- (a radar that reports the distance down to the water: quantity distance, scale -1, shift = mounting height).
CREATE TABLE deployment (
    deployment_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id  text NOT NULL REFERENCES device,
    quantity   text NOT NULL REFERENCES quantity,   -- what the device reports
    sensor_id  integer NOT NULL REFERENCES sensor,
    valid_from timestamptz NOT NULL,
    valid_to   timestamptz CHECK (valid_to > valid_from),
    scale      float8 NOT NULL DEFAULT 1,
    shift      float8 NOT NULL DEFAULT 0,
    UNIQUE (device_id, quantity, valid_from)
);

CREATE TABLE registry_version (version bigint NOT NULL);
INSERT INTO registry_version VALUES (1);

CREATE FUNCTION registry_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE registry_version SET version = version + 1;
    NOTIFY kawamori_registry;
    RETURN NULL;
END $$;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['unit', 'quantity', 'river', 'station', 'datum', 'mark', 'flood_level', 'threshold', 'sensor', 'device', 'deployment'] LOOP
        EXECUTE format('CREATE TRIGGER registry_changed AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION registry_changed()', t);
    END LOOP;
END $$;

INSERT INTO unit (symbol, dimension, scale, shift) VALUES
    ('m', 'length', 1, 0), ('cm', 'length', 0.01, 0), ('mm', 'length', 0.001, 0), ('ft', 'length', 0.3048, 0),
    ('Pa', 'pressure', 1, 0), ('hPa', 'pressure', 100, 0), ('kPa', 'pressure', 1000, 0),
    ('°C', 'temperature', 1, 0), ('Cel', 'temperature', 1, 0), ('K', 'temperature', 1, -273.15),
    ('V', 'voltage', 1, 0), ('mV', 'voltage', 0.001, 0), ('m3/s', 'discharge', 1, 0), ('%', 'ratio', 1, 0);

INSERT INTO quantity (quantity, unit, name_ja, name_en, range_min, range_max, max_step, max_rate_h, spike, flat_after) VALUES
    ('water_level', 'm', '水位', 'water level', -15, 40, 0.5, 8, 0.10, '6 hours'),
    ('distance', 'm', '距離', 'distance to the water', 0, 60, NULL, NULL, NULL, NULL),
    ('flood_depth', 'm', '浸水深', 'flood depth', -0.5, 20, NULL, NULL, NULL, NULL),
    ('pressure', 'kPa', '水圧', 'pressure', -50, 1000, NULL, NULL, NULL, NULL),
    ('rainfall', 'mm', '雨量', 'rainfall', 0, 200, NULL, NULL, NULL, NULL),
    ('discharge', 'm3/s', '流量', 'discharge', -50000, 50000, NULL, NULL, NULL, NULL),
    ('temperature', '°C', '温度', 'temperature', -40, 60, NULL, NULL, NULL, NULL);

INSERT INTO flood_level (level, valid_from, name_ja, name_en, colour, text_colour) VALUES
    (0, '2000-01-01Z', '平常', 'normal', '#C8C8CB', '#000000'),
    (1, '2000-01-01Z', '水防団待機水位', 'standby', '#FFFFFF', '#000000'),
    (2, '2000-01-01Z', '氾濫注意水位', 'caution', '#F2E700', '#000000'),
    (3, '2000-01-01Z', '避難判断水位', 'evacuation decision', '#FF2800', '#000000'),
    (4, '2000-01-01Z', '氾濫危険水位', 'flood danger', '#AA00AA', '#FFFFFF'),
    (5, '2000-01-01Z', '氾濫開始水位', 'overflow', '#0C000C', '#FFFFFF');
