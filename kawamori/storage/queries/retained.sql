-- name: stations_shown
SELECT station_id FROM station WHERE NOT internal ORDER BY station_id
