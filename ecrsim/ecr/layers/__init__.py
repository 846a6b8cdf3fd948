"""Layers: bytes that repositories hold, and the uploads that bring them."""
