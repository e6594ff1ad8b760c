"""SQLite: the one connection, the queries by aggregate, the encryption of PINs."""
