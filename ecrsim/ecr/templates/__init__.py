"""Repository creation templates, and the one way in which ecrsim makes a repository by itself."""
