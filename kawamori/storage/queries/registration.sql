-- What is registered of the stations, devices, models and gateways that a sheet names; and how it is written. Keys
-- first, in the order of kawamori/domain/registration/standing.py.

-- name: registered_gateway
SELECT gateway_id, retired_at FROM gateway WHERE gateway_id = ANY(%(gateways)s)

-- name: registered_device_model
SELECT model, nothing, span_min, span_max, span_unit FROM device_model

-- name: registered_river
SELECT river_id, name_ja, name_en, course FROM river WHERE river_id = ANY(%(rivers)s)

-- name: registered_station
SELECT station_id, name_ja, name_en, river_id, lon, lat, km, time_zone, internal, ward_ja, ward_en
FROM station WHERE station_id = ANY(%(stations)s)

-- name: registered_datum
SELECT station_id, valid_from, gauge_zero_tp_m FROM datum WHERE station_id = ANY(%(stations)s)

-- name: registered_cross_section
SELECT station_id, valid_from, points FROM cross_section WHERE station_id = ANY(%(stations)s)

-- name: registered_mark
SELECT station_id, kind, valid_from, value_m FROM mark WHERE station_id = ANY(%(stations)s)

-- name: registered_threshold
SELECT station_id, level, valid_from, valid_to, value_m, hysteresis_m, hold, consecutive, keep_firing
FROM threshold WHERE station_id = ANY(%(stations)s)

-- name: registered_sensor
SELECT station_id, quantity, report_every, report_every_low, range_min, range_max, max_step, max_rate_h, spike,
    flat_after, flat_above, noise_m, usual_delay, retired_at
FROM sensor WHERE station_id = ANY(%(stations)s)

-- name: registered_device
-- Those that are named, and those that stand, or stood, where somebody else is to stand.
SELECT device_id, model, retired_at FROM device WHERE device_id = ANY(%(devices)s) OR device_id IN (
    SELECT p.device_id FROM deployment p JOIN sensor s USING (sensor_id) WHERE s.station_id = ANY(%(stations)s))

-- name: registered_deployment
SELECT p.device_id, p.quantity, p.valid_from, s.station_id, s.quantity, p.valid_to, p.scale, p.shift, p.nothing,
    p.span_min, p.span_max, p.span_unit, p.counter
FROM deployment p JOIN sensor s USING (sensor_id)
WHERE p.device_id = ANY(%(devices)s) OR s.station_id = ANY(%(stations)s)

-- name: known_quantities
SELECT quantity, unit, is_amount FROM quantity

-- name: alike_stations
-- Every other station's name, for a person who may have spelt one of them anew.
SELECT station_id, name_ja FROM station WHERE NOT station_id = ANY(%(stations)s) AND NOT internal

-- name: recent_extremes
-- Of these stations' sensors what was measured within the span, failed readings left out, by the hourly summaries.
SELECT s.station_id, s.quantity, min(h.min), max(h.max) FROM sensor s JOIN reading_hour h USING (sensor_id)
WHERE s.station_id = ANY(%(stations)s) AND h.bucket >= %(start)s AND h.bucket < %(end)s GROUP BY 1, 2

-- One statement a table however many rows: each raises the registry's version, and versions of one row within one
-- transaction are looked through again and again.

-- name: put_gateway
INSERT INTO gateway (gateway_id, retired_at)
SELECT gateway_id, retired_at
FROM jsonb_to_recordset(%(rows)s) AS r (gateway_id text, retired_at timestamptz)
ON CONFLICT (gateway_id) DO UPDATE SET retired_at = excluded.retired_at

-- name: put_device_model
INSERT INTO device_model (model, nothing, span_min, span_max, span_unit)
SELECT model, nothing, span_min, span_max, span_unit
FROM jsonb_to_recordset(%(rows)s) AS r (model text, nothing float8[], span_min float8, span_max float8, span_unit text)
ON CONFLICT (model) DO UPDATE SET nothing = excluded.nothing, span_min = excluded.span_min,
    span_max = excluded.span_max, span_unit = excluded.span_unit

-- name: put_river
INSERT INTO river (river_id, name_ja, name_en, course)
SELECT river_id, name_ja, name_en, course
FROM jsonb_to_recordset(%(rows)s) AS r (river_id text, name_ja text, name_en text, course jsonb)
ON CONFLICT (river_id) DO UPDATE SET name_ja = excluded.name_ja, name_en = excluded.name_en, course = excluded.course

-- name: put_station
INSERT INTO station (station_id, name_ja, name_en, river_id, lon, lat, km, time_zone, internal, ward_ja, ward_en)
SELECT station_id, name_ja, name_en, river_id, lon, lat, km, time_zone, internal, ward_ja, ward_en
FROM jsonb_to_recordset(%(rows)s) AS r (station_id text, name_ja text, name_en text, river_id text, lon float8,
    lat float8, km float8, time_zone text, internal boolean, ward_ja text, ward_en text)
ON CONFLICT (station_id) DO UPDATE SET name_ja = excluded.name_ja, name_en = excluded.name_en,
    river_id = excluded.river_id, lon = excluded.lon, lat = excluded.lat, km = excluded.km,
    time_zone = excluded.time_zone, ward_ja = excluded.ward_ja, ward_en = excluded.ward_en

-- name: put_datum
INSERT INTO datum (station_id, valid_from, gauge_zero_tp_m)
SELECT station_id, valid_from, gauge_zero_tp_m
FROM jsonb_to_recordset(%(rows)s) AS r (station_id text, valid_from timestamptz, gauge_zero_tp_m float8)
ON CONFLICT (station_id, valid_from) DO UPDATE SET gauge_zero_tp_m = excluded.gauge_zero_tp_m

-- name: put_cross_section
INSERT INTO cross_section (station_id, valid_from, points)
SELECT station_id, valid_from, points
FROM jsonb_to_recordset(%(rows)s) AS r (station_id text, valid_from timestamptz, points jsonb)
ON CONFLICT (station_id, valid_from) DO UPDATE SET points = excluded.points

-- name: put_mark
INSERT INTO mark (station_id, kind, valid_from, value_m)
SELECT station_id, kind, valid_from, value_m
FROM jsonb_to_recordset(%(rows)s) AS r (station_id text, kind text, valid_from timestamptz, value_m float8)
ON CONFLICT (station_id, kind, valid_from) DO UPDATE SET value_m = excluded.value_m

-- name: put_threshold
INSERT INTO threshold (station_id, level, valid_from, valid_to, value_m, hysteresis_m, hold, consecutive, keep_firing)
SELECT station_id, level, valid_from, valid_to, value_m, hysteresis_m, hold, consecutive, keep_firing
FROM jsonb_to_recordset(%(rows)s) AS r (station_id text, level smallint, valid_from timestamptz, valid_to timestamptz,
    value_m float8, hysteresis_m float8, hold interval, consecutive smallint, keep_firing interval)
ON CONFLICT (station_id, level, valid_from) DO UPDATE SET valid_to = excluded.valid_to, value_m = excluded.value_m,
    hysteresis_m = excluded.hysteresis_m, hold = excluded.hold, consecutive = excluded.consecutive,
    keep_firing = excluded.keep_firing

-- name: put_sensor
INSERT INTO sensor (station_id, quantity, report_every, report_every_low, range_min, range_max, max_step, max_rate_h,
    spike, flat_after, flat_above, noise_m, usual_delay, retired_at)
SELECT station_id, quantity, report_every, report_every_low, range_min, range_max, max_step, max_rate_h, spike,
    flat_after, flat_above, noise_m, usual_delay, retired_at
FROM jsonb_to_recordset(%(rows)s) AS r (station_id text, quantity text, report_every interval,
    report_every_low interval, range_min float8, range_max float8, max_step float8, max_rate_h float8, spike float8,
    flat_after interval, flat_above float8, noise_m float8, usual_delay interval, retired_at timestamptz)
ON CONFLICT (station_id, quantity) DO UPDATE SET report_every = excluded.report_every,
    report_every_low = excluded.report_every_low, range_min = excluded.range_min, range_max = excluded.range_max,
    max_step = excluded.max_step, max_rate_h = excluded.max_rate_h, spike = excluded.spike,
    flat_after = excluded.flat_after, flat_above = excluded.flat_above, noise_m = excluded.noise_m,
    usual_delay = excluded.usual_delay, retired_at = excluded.retired_at

-- name: put_device
INSERT INTO device (device_id, model, retired_at)
SELECT device_id, model, retired_at
FROM jsonb_to_recordset(%(rows)s) AS r (device_id text, model text, retired_at timestamptz)
ON CONFLICT (device_id) DO UPDATE SET model = excluded.model, retired_at = excluded.retired_at

-- name: put_deployment
INSERT INTO deployment (device_id, quantity, valid_from, sensor_id, valid_to, scale, shift, nothing, span_min,
    span_max, span_unit, counter)
SELECT r.device_id, r.quantity, r.valid_from, s.sensor_id, r.valid_to, r.scale, r.shift, r.nothing, r.span_min,
    r.span_max, r.span_unit, r.counter
FROM jsonb_to_recordset(%(rows)s) AS r (device_id text, quantity text, valid_from timestamptz, station_id text,
    sensor text, valid_to timestamptz, scale float8, shift float8, nothing float8[], span_min float8, span_max float8,
    span_unit text, counter boolean)
JOIN sensor s ON s.station_id = r.station_id AND s.quantity = r.sensor
ON CONFLICT (device_id, quantity, valid_from) DO UPDATE SET sensor_id = excluded.sensor_id,
    valid_to = excluded.valid_to, scale = excluded.scale, shift = excluded.shift, nothing = excluded.nothing,
    span_min = excluded.span_min, span_max = excluded.span_max, span_unit = excluded.span_unit,
    counter = excluded.counter

-- name: remove_threshold
DELETE FROM threshold t USING jsonb_to_recordset(%(rows)s) AS r (station_id text, level smallint, valid_from timestamptz)
WHERE (t.station_id, t.level, t.valid_from) = (r.station_id, r.level, r.valid_from)

-- name: remove_deployment
DELETE FROM deployment d USING jsonb_to_recordset(%(rows)s) AS r (device_id text, quantity text, valid_from timestamptz)
WHERE (d.device_id, d.quantity, d.valid_from) = (r.device_id, r.quantity, r.valid_from)
