-- What a device reports and since when it does, when a sensor or gateway is retired, and one row in force at a time.

CREATE EXTENSION IF NOT EXISTS btree_gist;

-- A model of device: which numbers it sends for "no measurement", in the unit it sends, and what it can measure at all.
CREATE TABLE device_model (
    model     text PRIMARY KEY CHECK (model ~ '^[A-Za-z0-9_. :/+-]{1,64}$'),
    nothing   float8[],                          -- NULL: the usual numbers (kawamori/domain/quantity.py); empty: none
    span_min  float8, span_max float8,           -- in span_unit, of what the device reports, both inclusive
    span_unit text REFERENCES unit,
    CHECK (span_min <= span_max)
);

ALTER TABLE device
    ADD COLUMN model text REFERENCES device_model,
    ADD COLUMN retired_at timestamptz;           -- silent from then on without alarming

-- The same of one deployment, where it differs from the model's.
ALTER TABLE deployment
    ADD COLUMN nothing float8[],
    ADD COLUMN span_min float8, ADD COLUMN span_max float8, ADD COLUMN span_unit text REFERENCES unit,
    ADD COLUMN counter boolean NOT NULL DEFAULT false,   -- reports a running total; its increments are the readings
    ADD CHECK (span_min <= span_max);

ALTER TABLE sensor
    ADD COLUMN usual_delay interval NOT NULL DEFAULT '0' CHECK (usual_delay >= '0'),  -- from measurement to arrival
    ADD COLUMN retired_at timestamptz;

-- An amount over the period that ends at `observed_at` (rain), not a state at that moment.
ALTER TABLE quantity ADD COLUMN is_amount boolean NOT NULL DEFAULT false;
UPDATE quantity SET is_amount = true WHERE quantity = 'rainfall';

-- Gateways are registered; one that is not is not believed. Those that were heard before this date count as registered,
-- and so does the name that a gateway has where none is set.
ALTER TABLE gateway
    ALTER COLUMN seen_at DROP NOT NULL,          -- registered, and not heard yet
    ADD COLUMN registered_at timestamptz,
    ADD COLUMN retired_at timestamptz;
UPDATE gateway SET registered_at = now() WHERE gateway_id ~ '^[A-Za-z0-9_-]{1,64}$';
INSERT INTO gateway (gateway_id, registered_at) VALUES ('gateway-1', now()) ON CONFLICT DO NOTHING;
DELETE FROM gateway WHERE registered_at IS NULL;
ALTER TABLE gateway ALTER COLUMN registered_at SET NOT NULL, ALTER COLUMN registered_at SET DEFAULT now(),
    ADD CHECK (gateway_id ~ '^[A-Za-z0-9_-]{1,64}$');

-- A device measures a quantity at one place at a time, and one threshold a level is in force: a later row ends the former.
UPDATE deployment d SET valid_to = n.next FROM (
    SELECT deployment_id, lead(valid_from) OVER (PARTITION BY device_id, quantity ORDER BY valid_from) AS next FROM deployment
) n WHERE n.deployment_id = d.deployment_id AND (d.valid_to IS NULL OR d.valid_to > n.next);
UPDATE threshold t SET valid_to = n.next FROM (
    SELECT station_id, level, valid_from, lead(valid_from) OVER (PARTITION BY station_id, level ORDER BY valid_from) AS next FROM threshold
) n WHERE (n.station_id, n.level, n.valid_from) = (t.station_id, t.level, t.valid_from) AND (t.valid_to IS NULL OR t.valid_to > n.next);
ALTER TABLE deployment ADD CONSTRAINT deployment_one_at_a_time
    EXCLUDE USING gist (device_id WITH =, quantity WITH =, tstzrange(valid_from, valid_to) WITH &&) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE threshold ADD CONSTRAINT threshold_one_at_a_time
    EXCLUDE USING gist (station_id WITH =, level WITH =, tstzrange(valid_from, valid_to) WITH &&) DEFERRABLE INITIALLY DEFERRED;

CREATE TRIGGER registry_changed AFTER INSERT OR UPDATE OR DELETE ON device_model
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
