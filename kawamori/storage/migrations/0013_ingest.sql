-- What ingest keeps of itself and of what it cannot store: starts of services, gateways that nobody registered, how much
-- of quarantine each sender takes, and which of its rows are to be tried again.

ALTER TABLE process ADD COLUMN started_at timestamptz;

-- Each start of a service's process; a service that starts again and again is in a crash loop, whatever else it says.
CREATE TABLE service_start (
    service    text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX service_start_by_time ON service_start (service, started_at);

-- Who said that it is a gateway, or sent a batch, and is not registered; '' stands for what is no name at all.
CREATE TABLE unknown_gateway (
    gateway_id text PRIMARY KEY CHECK (gateway_id ~ '^[A-Za-z0-9_-]{0,64}$'),
    first_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    messages   bigint NOT NULL DEFAULT 0
);

-- Who is believed is part of the registry; what a gateway says of itself every few seconds is not.
CREATE TRIGGER registry_changed AFTER INSERT OR DELETE OR UPDATE OF retired_at ON gateway
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();

-- Rows that a gateway could not deliver and set aside in its journal, as it says; a person looks at them.
ALTER TABLE gateway ADD COLUMN set_aside bigint NOT NULL DEFAULT 0;

-- What each sender put into quarantine within an hour; past its quota messages are counted and only the newest is kept.
CREATE TABLE quarantine_use (
    subject   text NOT NULL,                     -- device:NAME or gateway:NAME
    hour      timestamptz NOT NULL,
    messages  bigint NOT NULL DEFAULT 0,
    bytes     bigint NOT NULL DEFAULT 0,
    excess    bigint NOT NULL DEFAULT 0,
    excess_id bigint,                            -- the row of quarantine that stands for the excess
    PRIMARY KEY (subject, hour)
);

-- A row is tried again once it is asked for; `replay_result` says why it was refused again.
ALTER TABLE quarantine
    ADD COLUMN replay_requested_at timestamptz,
    ADD COLUMN replayed_at timestamptz,
    ADD COLUMN replay_result text;
CREATE INDEX quarantine_to_replay ON quarantine (quarantine_id)
    WHERE replay_requested_at IS NOT NULL AND replayed_at IS NULL AND replay_result IS NULL;
CREATE INDEX quarantine_of_device ON quarantine (device_id, quarantine_id);
CREATE INDEX quarantine_of_unknown_gateway ON quarantine (gateway_id) WHERE reason = 'gateway: not registered';
