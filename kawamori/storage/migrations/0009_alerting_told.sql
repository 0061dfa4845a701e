-- What whoever holds the lease says of itself, for those who do not know its settings.

ALTER TABLE lease
    ADD COLUMN has_listeners boolean,            -- whether a flood that begins now would be told to anybody; NULL: not said
    ADD COLUMN self_test_every interval;         -- NULL: none
