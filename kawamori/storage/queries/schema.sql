-- name: has_schema
SELECT to_regclass('schema_migration') IS NOT NULL

-- name: applied_steps
-- Each step, and since which version's newest step services work with it; the column is younger than the table.
SELECT number, coalesce((to_jsonb(m) ->> 'compatible_from')::integer, 0) FROM schema_migration m
