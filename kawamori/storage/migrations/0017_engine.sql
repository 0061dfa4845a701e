-- What the alert engine keeps of late readings, of clocks, and of what it cannot judge.

-- Sensors with more late readings than are judged in one transaction; judged by pages, beside everything else.
CREATE TABLE late_evaluation (
    sensor_id  integer PRIMARY KEY REFERENCES sensor ON DELETE CASCADE,
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    put_off_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How far the clock of a gateway, and that of the engine's machine, is ahead of the database's (negative: behind).
ALTER TABLE gateway ADD COLUMN IF NOT EXISTS clock_off_s float8;
ALTER TABLE lease
    ADD COLUMN clock_off_s float8,
    ADD COLUMN not_judged jsonb NOT NULL DEFAULT '{}';   -- what could not be judged, and why

-- When a refused message came, by our own clock: `received_at` is the gateway's, which may be off.
ALTER TABLE quarantine ADD COLUMN arrived_at timestamptz;
ALTER TABLE quarantine ALTER COLUMN arrived_at SET DEFAULT clock_timestamp();
CREATE INDEX quarantine_by_arrival ON quarantine (arrived_at);
CREATE FUNCTION quarantine_came_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.arrived_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER quarantine_came_again BEFORE UPDATE OF came_again_at ON quarantine
    FOR EACH ROW EXECUTE FUNCTION quarantine_came_again();
