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

-- name: count_old_batches
SELECT count(*) FROM ingest_batch
WHERE (xid, batch_id) < (SELECT xid, batch_id FROM feed_cursor ORDER BY xid, batch_id LIMIT 1)
    AND committed_at < %(before)s
