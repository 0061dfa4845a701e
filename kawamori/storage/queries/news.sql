-- name: newest_in_spans
-- Of each touched span the newest readings; the outer bounds let the planner leave out chunks.
SELECT t.span, r.observed_at, r.value, r.flag, r.received_at
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS t(sensor_id, start, stop, span)
CROSS JOIN LATERAL (
    SELECT observed_at, value, flag, received_at FROM reading
    WHERE sensor_id = t.sensor_id AND observed_at >= t.start AND observed_at <= t.stop
        AND observed_at >= %(earliest)s AND observed_at <= %(latest)s
    ORDER BY observed_at DESC LIMIT %(each)s
) r
ORDER BY t.span, r.observed_at

-- name: missed_after
-- Whether the feed still knows the place, and of the batches after it, no further than the limit, how many they are, how many
-- readings of them would travel, and over how long they were stored.
SELECT EXISTS (SELECT FROM ingest_batch WHERE xid = %(xid)s::xid8 AND batch_id = %(batch_id)s),
    count(*), coalesce(sum(least(readings, %(each)s * cardinality(sensor_ids))), 0)::bigint,
    coalesce(max(committed_at) - min(committed_at), '0')
FROM (
    SELECT readings, sensor_ids, committed_at FROM ingest_batch b
    WHERE (b.xid, batch_id) > (of_this_life(%(xid)s::xid8), %(batch_id)s)
        AND b.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY b.xid, batch_id LIMIT %(limit)s
) missed

-- name: alert_changes_after
-- `settled`: no row before it can still appear. What a restored database wrote in its former life is no news.
SELECT u.xid::text, u.audit_id, u.alert_id, u.xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled
FROM audit u
WHERE u.alert_id IS NOT NULL AND u.xid < pg_snapshot_xmax(pg_current_snapshot())
    AND (u.xid, u.audit_id) > (of_this_life(%(xid)s::xid8), %(audit_id)s)
ORDER BY u.xid, u.audit_id LIMIT %(limit)s

-- name: newest_alert_change
SELECT u.xid::text, audit_id FROM audit u
WHERE alert_id IS NOT NULL AND u.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY u.xid DESC, audit_id DESC LIMIT 1

-- name: internal_alerts
-- Those of the self-test's own station.
SELECT a.alert_id FROM alert a JOIN station s USING (station_id) WHERE a.alert_id = ANY(%(ids)s) AND s.internal
