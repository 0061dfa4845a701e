-- name: raw_readings
-- `stated`: what the device said, where a person corrected it.
SELECT observed_at, value, flag, reasons, stated FROM reading
WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at < %(end)s
ORDER BY observed_at LIMIT %(limit)s

-- name: ten_minute_readings
-- Failed readings are left out, as in the stored summaries. The start is one by the station's clock; what is stamped at the
-- end of its period counts, by `shift`, for the ten minutes before.
SELECT date_bin('10 minutes', observed_at - %(shift)s::interval, %(start)s::timestamptz) AS bucket, min(value), avg(value), max(value), count(*), sum(value)
FROM reading
WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s::timestamptz + %(shift)s::interval
    AND observed_at < %(end)s::timestamptz + %(shift)s::interval
    AND flag < 4
GROUP BY bucket ORDER BY bucket LIMIT %(limit)s

-- name: hourly_readings
SELECT bucket, min, sum_micro / 1e6 / n, max, n, sum_micro / 1e6 FROM reading_hour
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: daily_readings
SELECT bucket, min, sum_micro / 1e6 / n, max, n, sum_micro / 1e6 FROM reading_day
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: weekly_readings
-- Weeks begin on the station's Monday.
SELECT time_bucket('1 week', bucket, %(time_zone)s) AS week, min(min), sum(sum_micro) / 1e6 / sum(n), max(max),
    sum(n)::bigint, sum(sum_micro) / 1e6
FROM reading_day
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
GROUP BY week ORDER BY week LIMIT %(limit)s

-- name: count_raw_readings
-- How many, but no further than the limit.
SELECT count(*) FROM (
    SELECT FROM reading
    WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at < %(end)s LIMIT %(limit)s
) found

-- name: count_hourly_readings
SELECT count(*) FROM (
    SELECT FROM reading_hour
    WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s LIMIT %(limit)s
) found
