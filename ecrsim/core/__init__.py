"""What every capability stands on: time, identities, errors, names, the database, and the call."""
