"""The commands of the database itself: `ecrsim db current|upgrade|copy`."""
