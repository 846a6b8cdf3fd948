"""/_ecrsim/: what ecrsim says about itself and lets tests do. Not part of AWS."""
