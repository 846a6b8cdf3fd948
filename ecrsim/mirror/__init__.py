"""The commands of ECR Public: aliases, and bringing images from elsewhere."""
