-- name: registry_version
SELECT version FROM registry_version

-- name: registry_state
SELECT version, clock_timestamp() FROM registry_version

-- name: all_units
SELECT symbol, dimension, scale, shift FROM unit

-- name: all_quantities
SELECT quantity, unit FROM quantity

-- name: all_stations
-- With the datum and marks in force now.
SELECT s.station_id, s.name_ja, s.name_en, s.river_id, r.name_ja, r.name_en, s.lon, s.lat, s.km, s.time_zone,
    (SELECT gauge_zero_tp_m FROM datum d WHERE d.station_id = s.station_id AND valid_from <= now()
     ORDER BY valid_from DESC LIMIT 1),
    m.crest_left, m.crest_right, m.design_high_water, m.observation_start, s.internal, s.ward_ja, s.ward_en
FROM station s JOIN river r USING (river_id)
LEFT JOIN LATERAL (
    SELECT max(value_m) FILTER (WHERE kind = 'crest_left') AS crest_left,
           max(value_m) FILTER (WHERE kind = 'crest_right') AS crest_right,
           max(value_m) FILTER (WHERE kind = 'design_high_water') AS design_high_water,
           max(value_m) FILTER (WHERE kind = 'observation_start') AS observation_start
    FROM (SELECT DISTINCT ON (kind) kind, value_m FROM mark
          WHERE mark.station_id = s.station_id AND valid_from <= now() ORDER BY kind, valid_from DESC) newest
) m ON true
ORDER BY s.river_id, s.km DESC NULLS LAST, s.station_id

-- name: all_sensors
-- Durations and times as far as Python can hold them.
SELECT s.sensor_id, s.station_id, s.quantity, least(s.report_every, '3650 days'),
    CASE WHEN s.report_every_low IS NOT NULL THEN least(s.report_every_low, '3650 days') END,
    coalesce(s.range_min, q.range_min), coalesce(s.range_max, q.range_max), coalesce(s.max_step, q.max_step),
    coalesce(s.max_rate_h, q.max_rate_h), coalesce(s.spike, q.spike),
    CASE WHEN coalesce(s.flat_after, q.flat_after) IS NOT NULL THEN least(coalesce(s.flat_after, q.flat_after), '3650 days') END,
    s.flat_above, s.noise_m, least(s.usual_delay, '3650 days'), nullif(s.retired_at, 'infinity'), q.is_amount
FROM sensor s JOIN quantity q USING (quantity) ORDER BY s.sensor_id

-- name: all_devices
SELECT device_id FROM device

-- name: all_deployments
-- What a deployment leaves open is its device's model's; a span is taken whole from the one or the other. Times as far as
-- Python can hold them.
SELECT p.device_id, p.quantity, p.sensor_id, least(greatest(p.valid_from, '1900-01-01Z'), '9000-01-01Z'),
    nullif(p.valid_to, 'infinity'), p.scale, p.shift, coalesce(p.nothing, m.nothing),
    s.span_min, s.span_max, s.span_unit, p.counter
FROM deployment p JOIN device d USING (device_id) LEFT JOIN device_model m USING (model)
CROSS JOIN LATERAL (
    SELECT p.span_min, p.span_max, p.span_unit WHERE p.span_min IS NOT NULL OR p.span_max IS NOT NULL
    UNION ALL SELECT m.span_min, m.span_max, m.span_unit WHERE p.span_min IS NULL AND p.span_max IS NULL
) s
ORDER BY p.device_id, p.quantity, p.valid_from

-- name: registered_gateways
SELECT gateway_id FROM gateway WHERE retired_at IS NULL

-- name: all_thresholds
-- Durations and times as far as Python can hold them.
SELECT station_id, level, value_m, hysteresis_m, CASE WHEN hold IS NOT NULL THEN least(hold, '3650 days') END, consecutive,
    CASE WHEN keep_firing IS NOT NULL THEN least(keep_firing, '3650 days') END,
    least(greatest(valid_from, '1900-01-01Z'), '9000-01-01Z'), nullif(valid_to, 'infinity')
FROM threshold ORDER BY station_id, level, valid_from

-- name: all_alert_rules
SELECT rule_id, kind, station_id, river_id, enabled, status, parameters, valid_from, valid_to
FROM alert_rule ORDER BY valid_from, rule_id

-- name: all_rivers
SELECT river_id, name_ja, name_en, course FROM river ORDER BY river_id

-- name: all_flood_levels
-- The names and colours in force now.
SELECT DISTINCT ON (level) level, name_ja, name_en, colour, text_colour, valid_from
FROM flood_level WHERE valid_from <= now() ORDER BY level, valid_from DESC

-- name: put_river
INSERT INTO river (river_id, name_ja, name_en, course) VALUES (%(river_id)s, %(ja)s, %(en)s, %(course)s)
ON CONFLICT (river_id) DO UPDATE SET name_ja = excluded.name_ja, name_en = excluded.name_en,
    course = coalesce(excluded.course, river.course)

-- name: put_station
INSERT INTO station (station_id, name_ja, name_en, river_id, lon, lat, km, time_zone, internal, ward_ja, ward_en)
VALUES (%(station_id)s, %(ja)s, %(en)s, %(river_id)s, %(lon)s, %(lat)s, %(km)s, %(time_zone)s, %(internal)s, %(ward_ja)s, %(ward_en)s)
ON CONFLICT (station_id) DO UPDATE SET name_ja = excluded.name_ja, name_en = excluded.name_en,
    river_id = excluded.river_id, lon = excluded.lon, lat = excluded.lat, km = excluded.km, time_zone = excluded.time_zone,
    ward_ja = excluded.ward_ja, ward_en = excluded.ward_en

-- name: put_datum
INSERT INTO datum (station_id, valid_from, gauge_zero_tp_m) VALUES (%(station_id)s, %(valid_from)s, %(value)s)
ON CONFLICT (station_id, valid_from) DO UPDATE SET gauge_zero_tp_m = excluded.gauge_zero_tp_m

-- name: put_cross_section
INSERT INTO cross_section (station_id, valid_from, points) VALUES (%(station_id)s, %(valid_from)s, %(points)s)
ON CONFLICT (station_id, valid_from) DO UPDATE SET points = excluded.points

-- name: cross_section_of
-- The one in force now.
SELECT valid_from, points FROM cross_section WHERE station_id = %(station)s AND valid_from <= now()
ORDER BY valid_from DESC LIMIT 1

-- name: put_mark
INSERT INTO mark (station_id, kind, valid_from, value_m) VALUES (%(station_id)s, %(kind)s, %(valid_from)s, %(value)s)
ON CONFLICT (station_id, kind, valid_from) DO UPDATE SET value_m = excluded.value_m

-- name: end_threshold
-- One threshold a level is in force: what holds at the new one's beginning ends there.
UPDATE threshold SET valid_to = %(valid_from)s WHERE station_id = %(station_id)s AND level = %(level)s
    AND valid_from < %(valid_from)s AND (valid_to IS NULL OR valid_to > %(valid_from)s)

-- name: put_threshold
INSERT INTO threshold (station_id, level, valid_from, valid_to, value_m, hysteresis_m, hold)
VALUES (%(station_id)s, %(level)s, %(valid_from)s, (SELECT min(valid_from) FROM threshold
    WHERE station_id = %(station_id)s AND level = %(level)s AND valid_from > %(valid_from)s), %(value)s, %(hysteresis)s, %(hold)s)
ON CONFLICT (station_id, level, valid_from) DO UPDATE SET value_m = excluded.value_m,
    hysteresis_m = excluded.hysteresis_m, hold = excluded.hold

-- name: put_sensor
INSERT INTO sensor (station_id, quantity, report_every, range_min, range_max, max_step, max_rate_h, spike, flat_after, flat_above)
VALUES (%(station_id)s, %(quantity)s, %(report_every)s, %(range_min)s, %(range_max)s, %(max_step)s, %(max_rate_h)s, %(spike)s, %(flat_after)s, %(flat_above)s)
ON CONFLICT (station_id, quantity) DO UPDATE SET report_every = excluded.report_every, range_min = excluded.range_min,
    range_max = excluded.range_max, max_step = excluded.max_step, max_rate_h = excluded.max_rate_h,
    spike = excluded.spike, flat_after = excluded.flat_after, flat_above = excluded.flat_above
RETURNING sensor_id

-- name: put_device
INSERT INTO device (device_id) VALUES (%(device_id)s) ON CONFLICT DO NOTHING

-- name: end_deployment
-- A device measures a quantity at one place at a time.
UPDATE deployment SET valid_to = %(valid_from)s WHERE device_id = %(device_id)s AND quantity = %(quantity)s
    AND valid_from < %(valid_from)s AND (valid_to IS NULL OR valid_to > %(valid_from)s)

-- name: put_deployment
INSERT INTO deployment (device_id, quantity, sensor_id, valid_from, valid_to, scale, shift)
VALUES (%(device_id)s, %(quantity)s, %(sensor_id)s, %(valid_from)s, (SELECT min(valid_from) FROM deployment
    WHERE device_id = %(device_id)s AND quantity = %(quantity)s AND valid_from > %(valid_from)s), %(scale)s, %(shift)s)
ON CONFLICT (device_id, quantity, valid_from) DO UPDATE SET sensor_id = excluded.sensor_id, scale = excluded.scale,
    shift = excluded.shift

-- name: devices_of_station
-- Deployments, newest first; status and last reading only where they are of that deployment.
SELECT p.device_id, d.kind, p.quantity, s.quantity, p.valid_from, p.valid_to, t.status, t.received_at,
    CASE WHEN l.observed_at >= p.valid_from AND l.observed_at < coalesce(p.valid_to, 'infinity') THEN l.received_at END
FROM sensor s JOIN deployment p USING (sensor_id) JOIN device d USING (device_id) LEFT JOIN latest_reading l USING (sensor_id)
LEFT JOIN device_status t ON t.device_id = p.device_id AND t.received_at >= p.valid_from AND t.received_at < coalesce(p.valid_to, 'infinity')
WHERE s.station_id = %(station)s
ORDER BY p.valid_from DESC, p.device_id, p.quantity
