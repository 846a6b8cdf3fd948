"""Records of the past: the audit of decisions, and the trail of calls."""
