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

-- name: add_gateway
-- Whether that changed anything: a retired one is taken back only where `again` says so.
INSERT INTO gateway (gateway_id) VALUES (%(gateway)s)
ON CONFLICT (gateway_id) DO UPDATE SET retired_at = NULL WHERE gateway.retired_at IS NOT NULL AND %(again)s
RETURNING gateway_id

-- name: retire_gateway
UPDATE gateway SET retired_at = clock_timestamp() WHERE gateway_id = %(gateway)s AND retired_at IS NULL RETURNING gateway_id

-- name: forget_unknown_gateway
DELETE FROM unknown_gateway WHERE gateway_id = %(gateway)s

-- name: known_gateways
SELECT gateway_id, CASE WHEN retired_at IS NULL THEN 'registered' ELSE 'retired' END, seen_at FROM gateway
UNION ALL SELECT CASE gateway_id WHEN '' THEN '(no name)' ELSE gateway_id END, 'unknown', seen_at FROM unknown_gateway u
    WHERE NOT EXISTS (SELECT FROM gateway g WHERE g.gateway_id = u.gateway_id)
ORDER BY 2, 1

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

-- name: flood_levels_to_come
-- Names and colours that are registered and do not hold yet, the next ones first.
SELECT level, name_ja, name_en, colour, text_colour, valid_from
FROM flood_level WHERE valid_from > now() ORDER BY valid_from, level

-- name: datums_of
-- Every gauge zero there was, is and will be, oldest first.
SELECT valid_from, gauge_zero_tp_m FROM datum WHERE station_id = %(station)s ORDER BY valid_from

-- name: cross_section_of
-- The one in force now.
SELECT valid_from, points FROM cross_section WHERE station_id = %(station)s AND valid_from <= now()
ORDER BY valid_from DESC LIMIT 1

-- name: devices_of_station
-- Deployments, newest first; status and last reading only where they are of that deployment.
SELECT p.device_id, d.kind, p.quantity, s.quantity, p.valid_from, p.valid_to, t.status, t.received_at,
    CASE WHEN l.observed_at >= p.valid_from AND l.observed_at < coalesce(p.valid_to, 'infinity') THEN l.received_at END
FROM sensor s JOIN deployment p USING (sensor_id) JOIN device d USING (device_id) LEFT JOIN latest_reading l USING (sensor_id)
LEFT JOIN device_status t ON t.device_id = p.device_id AND t.received_at >= p.valid_from AND t.received_at < coalesce(p.valid_to, 'infinity')
WHERE s.station_id = %(station)s
ORDER BY p.valid_from DESC, p.device_id, p.quantity
