-- A refused message that comes again, from the device or from a broker that died, is the same message: one row.
-- `received_at` says when it first came, `came_again_at` when last, if it did.

ALTER TABLE quarantine ADD COLUMN came_again_at timestamptz;
UPDATE quarantine q SET came_again_at = (SELECT max(o.received_at) FROM quarantine o
    WHERE o.topic = q.topic AND o.digest = q.digest HAVING max(o.received_at) > q.received_at);
DELETE FROM quarantine q USING quarantine o
    WHERE o.topic = q.topic AND o.digest = q.digest AND (o.received_at, o.quarantine_id) < (q.received_at, q.quarantine_id);
ALTER TABLE quarantine
    DROP CONSTRAINT quarantine_gateway_id_topic_received_at_digest_key,
    ADD CONSTRAINT quarantine_message UNIQUE (topic, digest);
