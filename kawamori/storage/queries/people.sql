-- name: all_contacts
SELECT contact_id, kind, name, settings FROM contact ORDER BY contact_id

-- name: put_contact
INSERT INTO contact (contact_id, kind, name, settings) VALUES (%(id)s, %(kind)s, %(name)s, %(settings)s)
ON CONFLICT (contact_id) DO UPDATE SET kind = excluded.kind, name = excluded.name, settings = excluded.settings,
    changed_at = clock_timestamp()

-- name: remove_contact
DELETE FROM contact WHERE contact_id = %(id)s

-- name: all_escalations
SELECT escalation_id, name, river_id, settings FROM escalation ORDER BY escalation_id

-- name: put_escalation
INSERT INTO escalation (escalation_id, name, river_id, settings) VALUES (%(id)s, %(name)s, %(river)s, %(settings)s)
ON CONFLICT (escalation_id) DO UPDATE SET name = excluded.name, river_id = excluded.river_id,
    settings = excluded.settings, changed_at = clock_timestamp()

-- name: remove_escalation
DELETE FROM escalation WHERE escalation_id = %(id)s

-- name: all_silences
SELECT silence_id, alert_id, station_id, river_id, kinds, up_to_level, starts_at, ends_at, weekly, reason, author
FROM silence WHERE ends_at > %(after)s AND lifted_at IS NULL ORDER BY silence_id

-- name: put_silence
INSERT INTO silence (alert_id, station_id, river_id, kinds, up_to_level, starts_at, ends_at, weekly, reason, author)
VALUES (%(alert)s, %(station)s, %(river)s, %(kinds)s, %(up_to_level)s, %(starts_at)s, %(ends_at)s, %(weekly)s,
    %(reason)s, %(author)s)
RETURNING silence_id

-- name: lift_silence
UPDATE silence SET lifted_at = clock_timestamp(), lifted_by = %(who)s WHERE silence_id = %(id)s
    AND lifted_at IS NULL AND ends_at > clock_timestamp()
