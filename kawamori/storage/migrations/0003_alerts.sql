-- What people must know, and what they were told.

-- An episode: the water at or above a threshold. Exactly what the readings say, whatever their order.
CREATE TABLE alert (
    alert_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    station_id   text NOT NULL REFERENCES station,
    sensor_id    integer NOT NULL,
    kind         text NOT NULL DEFAULT 'level',
    flood_level  smallint NOT NULL,
    threshold_m  float8 NOT NULL,
    state        text NOT NULL CHECK (state IN ('firing', 'resolved', 'withdrawn')),
    started_at   timestamptz NOT NULL,           -- event time of the reading that crossed
    ended_at     timestamptz,
    value_m      float8 NOT NULL,                -- of the reading that crossed
    peak_m       float8 NOT NULL,
    verified     boolean NOT NULL,               -- false while only suspect readings say so
    retroactive  boolean NOT NULL,               -- learned of too late to page anybody
    status       text NOT NULL DEFAULT 'actual' CHECK (status IN ('actual', 'exercise', 'test')),
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    paged_at     timestamptz
);
CREATE UNIQUE INDEX alert_episode ON alert (sensor_id, kind, flood_level, started_at) WHERE state <> 'withdrawn';
CREATE INDEX alert_by_start ON alert (started_at DESC, alert_id DESC);

-- The outbox: written with the alert, delivered afterwards, kept as the record of what was sent.
CREATE TABLE notification (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id     bigint NOT NULL REFERENCES alert,
    channel      text NOT NULL,                  -- log, smtp
    recipient    text NOT NULL,
    event        text NOT NULL,                  -- raised, resolved, withdrawn
    idempotency_key text NOT NULL UNIQUE,
    subject      text NOT NULL,
    body         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts     integer NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    last_error   text
);
CREATE INDEX notification_due ON notification (next_attempt_at) WHERE delivered_at IS NULL;

-- How far a follower has read the change feed; moved in the transaction that did the work.
CREATE TABLE feed_cursor (
    follower text PRIMARY KEY,
    xid      xid8 NOT NULL,
    batch_id bigint NOT NULL
);

-- The feed of alert changes, for the live stream.
CREATE TABLE alert_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id  bigint NOT NULL REFERENCES alert,
    event     text NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
