"""HOW, the rivals: each quantizer a file, and their methods as phases."""
