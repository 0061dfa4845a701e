-- Quality control's recent past is read from `reading` when a worker does not remember it, instead of being written
-- with every reading. `revision` tells a worker whether what it remembers of a sensor is still so.
ALTER TABLE latest_reading
    DROP COLUMN tail_times, DROP COLUMN tail_values, DROP COLUMN tail_flags, DROP COLUMN tail_reasons,
    ADD COLUMN revision bigint NOT NULL DEFAULT 0;

-- Of each touched sensor the highest trustworthy value of the batch, so that alerts need not read calm rivers again;
-- infinity where stored rows were changed.
ALTER TABLE ingest_batch ADD COLUMN highs float8[];
