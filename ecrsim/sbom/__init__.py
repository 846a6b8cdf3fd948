"""What is in an image, as documents that other tools read."""
