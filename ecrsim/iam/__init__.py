"""General access management of AWS: policies, decisions, signatures, web identities. It knows nothing of ECR."""
