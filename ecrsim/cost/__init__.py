"""What registries cost at AWS's prices: facts in, a bill out, and what would save most (docs/cost.md)."""
