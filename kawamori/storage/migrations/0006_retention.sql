-- From when on raw readings are kept: what is older was dropped chunk by chunk, and is refused if it comes again,
-- because the summaries hold it already.
CREATE TABLE retention (
    kept_from timestamptz NOT NULL,
    set_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX retention_is_one_row ON retention ((true));
CREATE TRIGGER registry_changed AFTER INSERT OR UPDATE OR DELETE ON retention
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
