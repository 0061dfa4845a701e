-- name: note
INSERT INTO audit (who, subject, subject_id, alert_id, event, note, detail)
VALUES (%(who)s, %(subject)s, %(id)s, %(alert)s, %(event)s, %(note)s, %(detail)s)
