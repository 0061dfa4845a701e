-- name: recompute_hours
-- Buckets in which a stored reading changed, anew from the readings; those left with none disappear.
WITH wanted AS (
    SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(starts)s::timestamptz[], %(stops)s::timestamptz[])
        AS w(sensor_id, bucket, start, stop)
), fresh AS (
    SELECT w.sensor_id, w.bucket, count(*)::integer AS n, sum(round(r.value * 1000000)::bigint)::bigint AS sum_micro,
        min(r.value) AS min, max(r.value) AS max
    FROM wanted w CROSS JOIN LATERAL (SELECT value FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at >= w.start AND observed_at < w.stop AND flag NOT IN (4, 9)) r
    GROUP BY 1, 2
), gone AS (
    DELETE FROM reading_hour h USING wanted w WHERE h.sensor_id = w.sensor_id AND h.bucket = w.bucket
        AND NOT EXISTS (SELECT 1 FROM fresh f WHERE f.sensor_id = w.sensor_id AND f.bucket = w.bucket)
)
INSERT INTO reading_hour (sensor_id, bucket, n, sum_micro, min, max) SELECT * FROM fresh ORDER BY 1, 2
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = excluded.n, sum_micro = excluded.sum_micro, min = excluded.min, max = excluded.max

-- name: recompute_days
WITH wanted AS (
    SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(starts)s::timestamptz[], %(stops)s::timestamptz[])
        AS w(sensor_id, bucket, start, stop)
), fresh AS (
    SELECT w.sensor_id, w.bucket, count(*)::integer AS n, sum(round(r.value * 1000000)::bigint)::bigint AS sum_micro,
        min(r.value) AS min, max(r.value) AS max
    FROM wanted w CROSS JOIN LATERAL (SELECT value FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at >= w.start AND observed_at < w.stop AND flag NOT IN (4, 9)) r
    GROUP BY 1, 2
), gone AS (
    DELETE FROM reading_day d USING wanted w WHERE d.sensor_id = w.sensor_id AND d.bucket = w.bucket
        AND NOT EXISTS (SELECT 1 FROM fresh f WHERE f.sensor_id = w.sensor_id AND f.bucket = w.bucket)
)
INSERT INTO reading_day (sensor_id, bucket, n, sum_micro, min, max) SELECT * FROM fresh ORDER BY 1, 2
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = excluded.n, sum_micro = excluded.sum_micro, min = excluded.min, max = excluded.max
