-- A mark that there is no longer (a levee that was taken down) ends like everything dated: NULL, there is none from then on.
ALTER TABLE mark ALTER COLUMN value_m DROP NOT NULL;
