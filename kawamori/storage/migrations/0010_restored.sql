-- A database restored from a dump counts its transactions anew. A place in a feed beyond all of them is of its former life:
-- whoever stood there has seen nothing of this one.
CREATE FUNCTION of_this_life(place xid8) RETURNS xid8 LANGUAGE sql STABLE
    RETURN CASE WHEN place > pg_snapshot_xmax(pg_current_snapshot()) THEN '0'::xid8 ELSE place END;
