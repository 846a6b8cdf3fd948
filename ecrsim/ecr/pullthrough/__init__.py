"""Pull-through cache: images of other registries, fetched when they are first asked for and served from then on."""
