-- Rules, people, conversations and the audit: what turns a crossing into somebody who acts, and the record of it.

ALTER TABLE station ADD COLUMN internal boolean NOT NULL DEFAULT false;      -- the self-test's own: on no screen
ALTER TABLE sensor ADD COLUMN noise_m float8 CHECK (noise_m >= 0);           -- standard deviation in quiet water

-- What a threshold leaves open (NULL) is the level rule's of its station, its river or the site.
ALTER TABLE threshold
    ALTER COLUMN hysteresis_m DROP NOT NULL, ALTER COLUMN hysteresis_m DROP DEFAULT,
    ALTER COLUMN hold DROP NOT NULL, ALTER COLUMN hold DROP DEFAULT,
    ADD COLUMN consecutive smallint CHECK (consecutive >= 1),
    ADD COLUMN keep_firing interval;

-- Of one station, else of one river, else of the site. A change closes a row and adds one: the past keeps its rules.
-- Parameters are those of the class of that kind in kawamori/domain/rules.
CREATE TABLE alert_rule (
    rule_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL,
    station_id text REFERENCES station,
    river_id   text REFERENCES river,
    enabled    boolean NOT NULL DEFAULT true,
    status     text NOT NULL DEFAULT 'actual' CHECK (status IN ('actual', 'exercise', 'test')),
    parameters jsonb NOT NULL DEFAULT '{}',
    valid_from timestamptz NOT NULL DEFAULT clock_timestamp(),
    valid_to   timestamptz CHECK (valid_to > valid_from),
    author     text NOT NULL,
    CHECK (station_id IS NULL OR river_id IS NULL)
);
CREATE UNIQUE INDEX alert_rule_in_force ON alert_rule (kind, coalesce(station_id, ''), coalesce(river_id, ''))
    WHERE valid_to IS NULL;
CREATE TRIGGER registry_changed AFTER INSERT OR UPDATE OR DELETE ON alert_rule
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();

-- A person, a group or a rota: kawamori/domain/people.py says what `settings` holds.
CREATE TABLE contact (
    contact_id text PRIMARY KEY CHECK (contact_id ~ '^[A-Za-z0-9_.-]{1,64}$'),
    kind       text NOT NULL CHECK (kind IN ('person', 'group', 'rota')),
    name       text NOT NULL,
    settings   jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who is told, and who next when nobody answers: kawamori/domain/escalation.py.
CREATE TABLE escalation (
    escalation_id text PRIMARY KEY CHECK (escalation_id ~ '^[A-Za-z0-9_.-]{1,64}$'),
    name       text NOT NULL,
    river_id   text REFERENCES river,            -- NULL: every river
    settings   jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Told of nothing meanwhile: one alert that is shelved, or a maintenance window. kawamori/domain/silence.py.
CREATE TABLE silence (
    silence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id   bigint REFERENCES alert,
    station_id text REFERENCES station,
    river_id   text REFERENCES river,
    kinds      text[],                           -- NULL: every kind
    up_to_level smallint NOT NULL DEFAULT 0 CHECK (up_to_level BETWEEN 0 AND 5),
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (ends_at > starts_at),
    weekly     jsonb,                            -- within that span, only at these hours
    reason     text NOT NULL CHECK (reason <> ''),
    author     text NOT NULL,
    lifted_at  timestamptz,
    lifted_by  text
);
CREATE INDEX silence_by_end ON silence (ends_at);

-- One conversation: a river's flood wave, or the equipment's troubles. Alerts join it, messages belong to it.
CREATE TABLE incident (
    incident_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic       text NOT NULL CHECK (topic IN ('flood', 'equipment', 'self_test')),
    river_id    text REFERENCES river,
    status      text NOT NULL CHECK (status IN ('actual', 'exercise', 'test')),
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    -- Where the escalation stands; escalate_at is NULL once everything is acknowledged or over.
    escalation_id text, step smallint NOT NULL DEFAULT 0, round smallint NOT NULL DEFAULT 0, escalate_at timestamptz
);
CREATE UNIQUE INDEX incident_open ON incident (topic, coalesce(river_id, ''), status) WHERE closed_at IS NULL;

ALTER TABLE alert
    ALTER COLUMN station_id DROP NOT NULL,
    ALTER COLUMN sensor_id DROP NOT NULL,
    ALTER COLUMN threshold_m DROP NOT NULL,
    ALTER COLUMN value_m DROP NOT NULL,
    ALTER COLUMN peak_m DROP NOT NULL,
    DROP CONSTRAINT alert_state_check,
    ADD CHECK (state IN ('pending', 'firing', 'resolved', 'withdrawn')),
    ADD COLUMN subject text NOT NULL DEFAULT '',        -- what it is about where that is no sensor: gateway:NAME
    ADD COLUMN rule_id bigint REFERENCES alert_rule,
    ADD COLUMN detail jsonb NOT NULL DEFAULT '{}',      -- why a value is doubtful, neighbours, what the kind adds
    ADD COLUMN incident_id bigint REFERENCES incident,
    ADD COLUMN acknowledged_at timestamptz, ADD COLUMN acknowledged_by text,
    ADD COLUMN confirmed_at timestamptz, ADD COLUMN confirmed_by text,   -- by a person
    ADD COLUMN dismissed_at timestamptz, ADD COLUMN dismissed_by text,   -- by a person: it was no water
    ADD COLUMN retracted_at timestamptz;                -- the readings no longer show it
UPDATE alert SET retracted_at = recorded_at WHERE state = 'withdrawn';
DROP INDEX alert_episode;
-- Episodes of the readings; the equipment's troubles have a subject, and may come back as of the same moment.
CREATE UNIQUE INDEX alert_episode ON alert (sensor_id, kind, flood_level, started_at) WHERE retracted_at IS NULL AND subject = '';
CREATE UNIQUE INDEX alert_subject ON alert (kind, subject) WHERE sensor_id IS NULL AND ended_at IS NULL AND state = 'firing' AND kind <> 'manual';
CREATE INDEX alert_open ON alert (alert_id) WHERE state IN ('pending', 'firing');
CREATE INDEX alert_by_incident ON alert (incident_id);

-- What people are to be told, waiting for its message; told_at says when that went into the outbox. Each goes into the
-- log at once, whatever people are told and when.
CREATE TABLE announcement (
    announcement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alert ON DELETE CASCADE,
    event       text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    logged_at   timestamptz,
    told_at     timestamptz
);
CREATE INDEX announcement_unlogged ON announcement (announcement_id) WHERE logged_at IS NULL;
CREATE INDEX announcement_waiting ON announcement (announcement_id) WHERE told_at IS NULL;
CREATE INDEX announcement_by_alert ON announcement (alert_id, announcement_id);

ALTER TABLE notification
    ALTER COLUMN alert_id DROP NOT NULL,
    ADD COLUMN incident_id bigint REFERENCES incident,
    ADD COLUMN contact_id text,                         -- no foreign key: the record outlives the contact
    ADD COLUMN payload jsonb NOT NULL DEFAULT '{}',     -- for machines: station, level, value, status, links
    ADD COLUMN claimed_until timestamptz,               -- somebody is sending it; after that anybody may
    ADD COLUMN instead_of bigint REFERENCES notification,  -- the second channel of a message that did not get through
    ADD COLUMN given_up_at timestamptz;
CREATE INDEX notification_by_incident ON notification (incident_id, created_at);
CREATE INDEX notification_by_alert ON notification (alert_id);
CREATE INDEX notification_instead ON notification (instead_of) WHERE instead_of IS NOT NULL;
CREATE INDEX notification_chain ON notification (coalesce(instead_of, notification_id), notification_id);
CREATE INDEX notification_open ON notification (channel, next_attempt_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX notification_unheard ON notification (created_at) WHERE delivered_at IS NULL AND contact_id IS NOT NULL;
DROP INDEX notification_due;

-- Every attempt, and what the other side answered.
CREATE TABLE attempt (
    attempt_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notification_id bigint NOT NULL REFERENCES notification,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome         text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'refused')),
    answer          text NOT NULL
);
CREATE INDEX attempt_by_notification ON attempt (notification_id);

-- Who changed what, when and why; and, where alert_id is set, the feed of alert changes for the live stream.
CREATE TABLE audit (
    audit_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    who        text NOT NULL,                    -- `kawamori` where the software did
    subject    text NOT NULL,                    -- alert, rule, contact, escalation, silence, account, alerting
    subject_id text NOT NULL,
    alert_id   bigint,                           -- no foreign key: the record outlives what it tells of
    event      text NOT NULL,
    note       text,
    detail     jsonb NOT NULL DEFAULT '{}',
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id()   -- whoever follows skips no row that commits late
);
CREATE INDEX audit_of_alerts ON audit (xid, audit_id) WHERE alert_id IS NOT NULL;
CREATE INDEX audit_by_alert ON audit (alert_id) WHERE alert_id IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_of_alerting ON audit (audit_id) WHERE subject = 'alerting';
INSERT INTO audit (at, who, subject, subject_id, alert_id, event)
    SELECT at, 'kawamori', 'alert', alert_id::text, alert_id, event FROM alert_change ORDER BY change_id;
DROP TABLE alert_change;

CREATE FUNCTION audit_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only';
END $$;
CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();

-- Which engine evaluates. Whoever takes the lease over raises the token; an engine whose token is old can commit nothing.
CREATE TABLE lease (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    token  bigint NOT NULL,
    until  timestamptz NOT NULL
);

-- When each gateway was last heard of, and what it still has to forward.
CREATE TABLE gateway (
    gateway_id text PRIMARY KEY,
    seen_at    timestamptz NOT NULL,
    backlog    bigint NOT NULL DEFAULT 0
);

-- Who may act: the digest of a token, and a role.
CREATE TABLE account (
    name         text PRIMARY KEY CHECK (name <> ''),
    role         text NOT NULL CHECK (role IN ('operator', 'manager')),
    token_digest bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at   timestamptz
);

-- Made here, known to nobody: what acknowledge links are signed with.
CREATE TABLE secret (name text PRIMARY KEY, value bytea NOT NULL);
INSERT INTO secret VALUES ('links', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

INSERT INTO quantity (quantity, unit, name_ja, name_en, range_min, range_max) VALUES
    ('self_test', 'm', '自己点検', 'self-test', 0, 10);

-- Screens hear of a change of an alert, and the engine of what it is to tell, at once.
CREATE FUNCTION alert_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY kawamori_alert;
    RETURN NULL;
END $$;
CREATE TRIGGER alert_noted AFTER INSERT ON audit FOR EACH STATEMENT EXECUTE FUNCTION alert_noted();
