-- name: put_replay
INSERT INTO replay (digest, file, shift, played_by) VALUES (%(digest)s, %(file)s, %(shift)s, %(who)s) RETURNING replay_id

-- name: put_replay_station
INSERT INTO replay_station (replay_id, station_id, device_id, quantity, made)
VALUES (%(replay_id)s, %(station_id)s, %(device_id)s, %(quantity)s, %(made)s)

-- name: registered_stations
SELECT station_id FROM station WHERE station_id = ANY(%(stations)s)

-- name: replay_sensor
-- The sensor that a replay plays for, made where the station has none of the quantity yet.
INSERT INTO sensor (station_id, quantity, report_every) VALUES (%(station_id)s, %(quantity)s, %(report_every)s)
ON CONFLICT (station_id, quantity) DO UPDATE SET report_every = sensor.report_every
RETURNING sensor_id

-- name: replay_device
INSERT INTO device (device_id) VALUES (%(device_id)s) ON CONFLICT DO NOTHING

-- name: put_replay_deployment
-- The replay's device measures for the sensor while the recording lasts, earlier replays included; what else is deployed
-- there stays as it is.
WITH old AS (
    DELETE FROM deployment WHERE device_id = %(device_id)s AND quantity = %(quantity)s RETURNING valid_from, valid_to
)
INSERT INTO deployment (device_id, quantity, sensor_id, valid_from, valid_to)
SELECT %(device_id)s, %(quantity)s, %(sensor_id)s, least(%(first)s, min(valid_from)),
    greatest(%(last)s::timestamptz, max(valid_to)) FROM old

-- name: last_replay
-- The newest one of this file that has not been taken off.
SELECT replay_id, shift FROM replay WHERE digest = %(digest)s AND removed_at IS NULL ORDER BY replay_id DESC LIMIT 1

-- name: replay_stations
SELECT r.station_id, r.device_id, r.made, s.sensor_id FROM replay_station r JOIN sensor s USING (station_id, quantity)
WHERE r.replay_id = %(replay_id)s ORDER BY s.sensor_id

-- name: take_off_readings
-- Exactly what was played: where another value stands by now, that one stays.
DELETE FROM reading r USING unnest(%(times)s::timestamptz[], %(values)s::float8[]) AS p(at, value)
WHERE r.sensor_id = %(sensor)s AND r.observed_at = p.at AND r.value = p.value
    AND r.observed_at >= %(first)s AND r.observed_at <= %(last)s
RETURNING r.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons

-- name: forget_revisions
WITH statements AS (
    DELETE FROM reading_statement WHERE sensor_id = %(sensor)s AND observed_at = ANY(%(times)s)
), totals AS (
    DELETE FROM counter_total WHERE sensor_id = %(sensor)s AND observed_at = ANY(%(times)s)
)
DELETE FROM reading_revision WHERE sensor_id = %(sensor)s AND observed_at = ANY(%(times)s)

-- name: settle_latest
-- The newest reading is the newest that is left.
UPDATE latest_reading l SET observed_at = n.observed_at, value = n.value, flag = n.flag, reasons = n.reasons,
    received_at = n.received_at, trend_h = NULL, flat_since = NULL, revision = l.revision + 1
FROM (SELECT 1) one LEFT JOIN LATERAL (
    SELECT observed_at, value, flag, reasons, received_at FROM reading WHERE sensor_id = %(sensor)s
        AND observed_at > %(earliest)s ORDER BY observed_at DESC LIMIT 1
) n ON true
WHERE l.sensor_id = %(sensor)s

-- name: note_removal
INSERT INTO ingest_batch (readings, sensor_ids, starts, ends, highs)
VALUES (%(readings)s, %(sensors)s, %(starts)s, %(ends)s, %(highs)s)

-- name: end_replay
UPDATE replay SET removed_at = clock_timestamp(), removed_by = %(who)s WHERE replay_id = %(replay_id)s

-- name: forget_replay_device
-- Unless another replay that still stands plays it.
WITH playing AS (
    SELECT 1 FROM replay_station JOIN replay USING (replay_id) WHERE device_id = %(device_id)s AND removed_at IS NULL
), ended AS (
    DELETE FROM deployment WHERE device_id = %(device_id)s AND NOT EXISTS (SELECT 1 FROM playing)
)
SELECT count(*) FROM playing

-- name: is_left_alone
-- Nothing is left of a station that a replay made: no reading, no alert, no other device.
SELECT NOT EXISTS (SELECT 1 FROM alert WHERE station_id = %(station_id)s)
    AND NOT EXISTS (SELECT 1 FROM sensor JOIN latest_reading USING (sensor_id)
        WHERE station_id = %(station_id)s AND observed_at IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM sensor JOIN deployment USING (sensor_id) WHERE station_id = %(station_id)s)

-- name: forget_station
WITH sensors AS (
    DELETE FROM sensor WHERE station_id = %(station_id)s RETURNING sensor_id
), latest AS (
    DELETE FROM latest_reading WHERE sensor_id IN (SELECT sensor_id FROM sensors)
), ways AS (
    DELETE FROM sensor_gateway WHERE sensor_id IN (SELECT sensor_id FROM sensors)
), thresholds AS (
    DELETE FROM threshold WHERE station_id = %(station_id)s
), marks AS (
    DELETE FROM mark WHERE station_id = %(station_id)s
), datums AS (
    DELETE FROM datum WHERE station_id = %(station_id)s
), sections AS (
    DELETE FROM cross_section WHERE station_id = %(station_id)s
)
DELETE FROM station WHERE station_id = %(station_id)s
