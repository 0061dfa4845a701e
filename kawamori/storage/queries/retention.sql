-- name: kept_from
-- From when on raw readings are kept, and since when that stands; no row: all of them.
SELECT kept_from, set_at FROM retention

-- name: keep_from
-- It never moves back: what was dropped does not return.
INSERT INTO retention (kept_from) VALUES (%(kept_from)s)
ON CONFLICT ((true)) DO UPDATE SET kept_from = excluded.kept_from, set_at = clock_timestamp()
WHERE excluded.kept_from > retention.kept_from

-- name: chunks_before
SELECT range_start, range_end, pg_total_relation_size(format('%%I.%%I', chunk_schema, chunk_name)::regclass)
FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema() AND hypertable_name = 'reading' AND range_end <= %(before)s::timestamptz
ORDER BY range_end

-- name: drop_chunk
SELECT drop_chunks('reading', older_than => %(range_end)s::timestamptz, newer_than => %(range_start)s::timestamptz)

-- name: prune_batches
-- Rows of the feed that every follower has passed. One page by key, oldest first: what is left comes with the next.
WITH page AS (
    SELECT xid, batch_id, committed_at FROM ingest_batch
    WHERE (xid, batch_id) < (SELECT xid, batch_id FROM feed_cursor ORDER BY xid, batch_id LIMIT 1)
    ORDER BY xid, batch_id LIMIT %(limit)s
)
DELETE FROM ingest_batch b USING page p
WHERE b.xid = p.xid AND b.batch_id = p.batch_id AND p.committed_at < %(before)s

-- name: prune_statements
-- What several devices stated of moments whose raw readings are gone.
DELETE FROM reading_statement WHERE (sensor_id, observed_at, device_id) IN
    (SELECT sensor_id, observed_at, device_id FROM reading_statement WHERE observed_at < %(before)s LIMIT %(limit)s)

-- name: prune_totals
-- Totals of counters of that time, but for the newest of each: the next total counts from it.
DELETE FROM counter_total WHERE (sensor_id, device_id, observed_at) IN
    (SELECT sensor_id, device_id, observed_at FROM counter_total o WHERE observed_at < %(before)s
        AND EXISTS (SELECT FROM counter_total n WHERE (n.sensor_id, n.device_id) = (o.sensor_id, o.device_id)
            AND n.observed_at > o.observed_at) LIMIT %(limit)s)

-- name: prune_quarantine
-- What was refused long ago, and what was stored since. One page by key, oldest first.
WITH page AS (
    SELECT quarantine_id FROM quarantine WHERE coalesce(replayed_at, came_again_at, received_at) < %(before)s
        AND received_at < %(before)s ORDER BY received_at LIMIT %(limit)s
)
DELETE FROM quarantine q USING page p WHERE q.quarantine_id = p.quarantine_id

-- name: count_old_quarantine
SELECT count(*) FROM quarantine WHERE coalesce(replayed_at, came_again_at, received_at) < %(before)s AND received_at < %(before)s

-- name: prune_overfull_quarantine
-- The oldest of each device that holds more than its share; batches of gateways that are not registered yet stay.
WITH held AS (
    SELECT quarantine_id, sum(octet_length(payload)) OVER (PARTITION BY device_id, CASE WHEN device_id IS NULL THEN gateway_id END
        ORDER BY quarantine_id DESC) AS newer
    FROM quarantine WHERE reason <> 'gateway: not registered'
), page AS (SELECT quarantine_id FROM held WHERE newer > %(most)s ORDER BY quarantine_id LIMIT %(limit)s)
DELETE FROM quarantine q USING page p WHERE q.quarantine_id = p.quarantine_id

-- name: count_overfull_quarantine
SELECT count(*) FROM (
    SELECT sum(octet_length(payload)) OVER (PARTITION BY device_id, CASE WHEN device_id IS NULL THEN gateway_id END
        ORDER BY quarantine_id DESC) AS newer
    FROM quarantine WHERE reason <> 'gateway: not registered'
) held WHERE newer > %(most)s

-- name: prune_quarantine_use
DELETE FROM quarantine_use WHERE (subject, hour) IN
    (SELECT subject, hour FROM quarantine_use WHERE hour < %(before)s LIMIT %(limit)s)

-- name: count_old_batches
SELECT count(*) FROM ingest_batch
WHERE (xid, batch_id) < (SELECT xid, batch_id FROM feed_cursor ORDER BY xid, batch_id LIMIT 1)
    AND committed_at < %(before)s
