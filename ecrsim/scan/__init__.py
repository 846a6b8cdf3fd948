"""What is vulnerable in an image, for people and for other programs."""
