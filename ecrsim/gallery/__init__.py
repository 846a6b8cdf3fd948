"""The gallery of ECR Public: pages for a browser, which everybody may read, and the logos in them."""
