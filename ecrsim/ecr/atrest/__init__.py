"""Bytes at rest: which key encrypts what, with the setting `encrypt`."""
