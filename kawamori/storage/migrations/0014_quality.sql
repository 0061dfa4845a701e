-- Limits come from the station's own registration; what ingest's second look finds of limits; and nothing that was
-- measured in the future stands as the newest.

-- One number for the world failed every reading of gauges that report heights above the sea, and a day's rain in one.
UPDATE quantity SET range_min = NULL, range_max = NULL WHERE quantity = 'water_level';
UPDATE quantity SET range_max = 2000 WHERE quantity = 'rainfall';
UPDATE quantity SET range_min = -80, range_max = 100 WHERE quantity = 'temperature';

ALTER TABLE latest_reading
    ADD COLUMN beyond_since timestamptz; -- since when all values lie beyond the limits and agree with each other

UPDATE latest_reading l SET (observed_at, value, flag, reasons, received_at) = (
        SELECT r.observed_at, r.value, r.flag, r.reasons, r.received_at FROM reading r
        WHERE r.sensor_id = l.sensor_id AND r.observed_at <= now() + interval '5 minutes'
        ORDER BY r.observed_at DESC LIMIT 1),
    trend_h = NULL, flat_since = NULL, revision = l.revision + 1
WHERE l.observed_at > now() + interval '5 minutes';
