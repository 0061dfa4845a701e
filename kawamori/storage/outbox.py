from typing import Any
from psycopg.types.json import Jsonb
from kawamori.storage.database import Connection
async def put_notification(connection: Connection, *, alert_id, incident_id, contact_id, channel, recipient, event, key, subject, body, payload, instead_of=None, at=None):
    await connection.execute("INSERT INTO notification (alert_id, incident_id, contact_id, channel, recipient, event, idempotency_key, subject, body, payload, instead_of, created_at) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,coalesce(%s, clock_timestamp())) ON CONFLICT (idempotency_key) DO NOTHING",
      (alert_id, incident_id, contact_id, channel, recipient, event, key, subject, body, Jsonb(payload), instead_of, at))
