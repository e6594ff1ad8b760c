-- What is looked for in every run and at every issue is found without a look at what is over.
CREATE INDEX credentials_unfinished ON credentials (reservation_id) WHERE revoked_at IS NULL;
CREATE INDEX credentials_follows ON credentials (follows) WHERE follows IS NOT NULL;
CREATE INDEX credentials_with_pin ON credentials (lock) WHERE pin IS NOT NULL;
CREATE INDEX placements_with_pin ON placements (lock) WHERE pin IS NOT NULL;
