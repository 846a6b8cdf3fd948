"""What is kept of what was done: the audit of decisions, and the trail of calls."""
