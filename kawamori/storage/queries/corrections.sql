-- name: add_correction
WITH told AS (SELECT pg_notify('kawamori_correction', ''))
INSERT INTO correction (sensor_id, starts_at, ends_at, kind, amount, who, why)
SELECT %(sensor)s, %(starts_at)s, %(ends_at)s, %(kind)s, %(amount)s, %(who)s, %(why)s FROM told
RETURNING correction_id

-- name: undo_correction
-- The readings are to show that it holds no more.
WITH told AS (SELECT pg_notify('kawamori_correction', ''))
UPDATE correction c SET undone_at = now(), undone_by = %(who)s, applied = false, refused = NULL
FROM sensor s, told WHERE s.sensor_id = c.sensor_id AND s.station_id = %(station)s AND c.correction_id = %(correction)s
    AND c.undone_at IS NULL

-- name: corrections_of_station
SELECT c.correction_id, c.sensor_id, s.quantity, c.starts_at, c.ends_at, c.kind, c.amount, c.who, c.why, c.made_at,
    c.undone_at, c.undone_by, c.applied, c.refused
FROM correction c JOIN sensor s USING (sensor_id)
WHERE s.station_id = %(station)s AND c.correction_id < %(before_id)s
ORDER BY c.correction_id DESC LIMIT %(limit)s

-- name: corrections_in_force
SELECT correction_id, sensor_id, starts_at, ends_at, kind, amount, who, why FROM correction
WHERE sensor_id = ANY(%(sensors)s) AND undone_at IS NULL ORDER BY sensor_id, correction_id

-- name: next_correction_to_apply
-- Workers share them: one that somebody else holds is left to him.
SELECT correction_id, sensor_id, starts_at, ends_at, kind, amount, who, why, undone_by FROM correction
WHERE NOT applied AND refused IS NULL ORDER BY correction_id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: note_correction_applied
UPDATE correction SET applied = true WHERE correction_id = %(correction)s

-- name: note_correction_refused
UPDATE correction SET refused = %(why)s WHERE correction_id = %(correction)s

-- name: reading_stands_at
SELECT 1 FROM reading WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at <= %(end)s LIMIT 1
