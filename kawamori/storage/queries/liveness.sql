-- name: save_status
INSERT INTO device_status (device_id, received_at, status) VALUES (%(device_id)s, %(received_at)s, %(status)s::jsonb)
ON CONFLICT (device_id) DO UPDATE SET received_at = excluded.received_at, status = excluded.status
WHERE excluded.received_at > device_status.received_at

-- name: see_process
-- Those of its service that have been gone for a day are forgotten.
WITH gone AS (DELETE FROM process WHERE service = %(service)s AND seen_at < clock_timestamp() - interval '1 day')
INSERT INTO process (name, service, seen_at, started_at)
VALUES (%(name)s, %(service)s, clock_timestamp(), clock_timestamp())
ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at

-- name: see_ways
-- Through which gateways sensors report now; what is known so already is not written again.
INSERT INTO sensor_gateway (sensor_id, gateway_id)
SELECT n.sensor_id, n.gateway_id FROM unnest(%(sensors)s::integer[], %(gateways)s::text[]) AS n(sensor_id, gateway_id)
LEFT JOIN sensor_gateway g USING (sensor_id) WHERE g.gateway_id IS DISTINCT FROM n.gateway_id ORDER BY n.sensor_id
ON CONFLICT (sensor_id) DO UPDATE SET gateway_id = excluded.gateway_id

-- name: see_gateways
-- Registered ones only. One that holds rows has held them since it was first said so; one that was silent in between,
-- since now.
WITH locked AS (
    SELECT gateway_id FROM gateway WHERE gateway_id = ANY(%(gateways)s::text[]) AND retired_at IS NULL
    ORDER BY gateway_id FOR UPDATE
)
UPDATE gateway SET seen_at = clock_timestamp(), backlog = n.w, held_since = CASE
    WHEN n.w = 0 THEN NULL
    WHEN gateway.seen_at > clock_timestamp() - %(silent)s::interval THEN coalesce(gateway.held_since, clock_timestamp())
    ELSE clock_timestamp() END
FROM unnest(%(gateways)s::text[], %(waiting)s::bigint[]) AS n(g, w) JOIN locked ON locked.gateway_id = n.g
WHERE gateway.gateway_id = n.g

-- name: see_set_aside
-- What is known so already is not written again. `see_gateways` has locked the rows in order.
UPDATE gateway SET set_aside = n.rows FROM unnest(%(gateways)s::text[], %(rows)s::bigint[]) AS n(g, rows)
WHERE gateway.gateway_id = n.g AND gateway.set_aside <> n.rows

-- name: see_clocks
-- To the second: what is known so already is not written again. `see_gateways` has locked the rows in order.
UPDATE gateway SET clock_off_s = round(n.off)
FROM unnest(%(gateways)s::text[], %(offs)s::float8[]) AS n(g, off)
WHERE gateway.gateway_id = n.g AND gateway.clock_off_s IS DISTINCT FROM round(n.off)

-- name: see_unknown_gateways
-- The hundred that were heard last: nobody fills the table with names.
WITH old AS (
    DELETE FROM unknown_gateway WHERE gateway_id IN (SELECT gateway_id FROM unknown_gateway ORDER BY seen_at DESC OFFSET 100)
)
INSERT INTO unknown_gateway (gateway_id, messages)
SELECT g, c FROM unnest(%(gateways)s::text[], %(counts)s::bigint[]) AS n(g, c) ORDER BY g
ON CONFLICT (gateway_id) DO UPDATE SET seen_at = clock_timestamp(), messages = unknown_gateway.messages + excluded.messages

-- name: see_commits
-- What these gateways hold goes on reaching us.
UPDATE gateway SET held_since = NULL
WHERE gateway_id IN (SELECT gateway_id FROM gateway WHERE gateway_id = ANY(%(gateways)s::text[]) AND held_since IS NOT NULL
    ORDER BY gateway_id FOR UPDATE)
