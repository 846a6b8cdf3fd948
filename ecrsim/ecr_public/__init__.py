"""ECR Public: what it has besides ECR, over the same services and tables."""
