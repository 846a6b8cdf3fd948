"""The commands that look after advisories, in the data directory of an ecrsim that runs or does not."""
