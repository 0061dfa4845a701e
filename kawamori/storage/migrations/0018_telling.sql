-- Messages held against the alert as it stands when they leave, and what stands on every screen because somebody must know.

-- Why a message was not sent: what it says is no longer so, or was said by a later one. It is given up then, too.
ALTER TABLE notification ADD COLUMN superseded text;
ALTER TABLE attempt DROP CONSTRAINT attempt_outcome_check,
    ADD CHECK (outcome IN ('delivered', 'failed', 'refused', 'superseded', 'reworded'));

-- Why something was not told; NULL where it was, or still waits.
ALTER TABLE announcement ADD COLUMN dropped text;
-- What a person was told last of an alert.
CREATE INDEX notification_by_contact ON notification (contact_id, created_at) WHERE contact_id IS NOT NULL;

-- Silences that hide floods, thresholds out of reach, services that fail: told when they begin and when they end
-- (kawamori/domain/notices.py). `key` is the same for as long as it is the same.
CREATE TABLE notice (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key       text NOT NULL,
    kind      text NOT NULL,
    since     timestamptz NOT NULL,
    until     timestamptz,
    who       text,
    text_ja   text NOT NULL,
    text_en   text NOT NULL,
    told_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at  timestamptz
);
CREATE UNIQUE INDEX notice_standing ON notice (key) WHERE ended_at IS NULL;
