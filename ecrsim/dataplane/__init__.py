"""The registry protocol: /v2/, by the OCI distribution specification, with ECR's answers."""
