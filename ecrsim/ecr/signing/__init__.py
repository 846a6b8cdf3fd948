"""Signing: what is pushed is signed by profiles of AWS Signer, as the Notary Project says, and its signatures told."""
