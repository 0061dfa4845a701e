-- name: changes_after
-- Only what no running transaction can still precede: a batch that commits late is not skipped. The order is by the
-- column, not by its text, which a bare name would mean: "1000" comes before "999". What a
-- restored database wrote in its former life is no news.
SELECT b.xid::text, batch_id, committed_at, sensor_ids, starts, ends, highs, readings FROM ingest_batch b
WHERE (b.xid, batch_id) > (of_this_life(%(xid)s::xid8), %(batch_id)s)
    AND b.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY b.xid, batch_id LIMIT %(limit)s

-- name: newest_change
SELECT b.xid::text, batch_id FROM ingest_batch b WHERE b.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY b.xid DESC, batch_id DESC LIMIT 1

-- name: hold_cursor
-- The lock makes one follower of a name work at a time.
SELECT xid::text, batch_id FROM feed_cursor WHERE follower = %(follower)s FOR UPDATE

-- name: open_cursor
INSERT INTO feed_cursor (follower, xid, batch_id) VALUES (%(follower)s, '0', 0) ON CONFLICT DO NOTHING

-- name: move_cursor
UPDATE feed_cursor SET xid = %(xid)s::xid8, batch_id = %(batch_id)s WHERE follower = %(follower)s

-- name: readings_between
-- One sensor's readings in a span, both ends included.
SELECT observed_at, value, flag, reasons, received_at FROM reading
WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at <= %(end)s ORDER BY observed_at
