"""Registries that ecrsim asks as a client: any that speaks the OCI distribution protocol. Knows nothing of ECR.

addresses   where an upstream of some name is really asked, and what is never contacted
challenges  what a 401 asks for
wire        one request: TLS, proxies, redirects, retries, limits
login       Bearer tokens and Basic, kept for as long as they are good
registry    manifests, blobs, referrers, each verified
pushing     blobs and manifests that go there
"""
