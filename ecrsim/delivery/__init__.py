"""The outbox leaves the building: events in the shapes of EventBridge and CloudTrail, and whom they are for."""
