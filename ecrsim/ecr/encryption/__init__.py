"""Keys of repositories: which there are, who may use them, and data keys that they seal."""
