"""Images: manifests in repositories, their tags, references and pulls."""
