"""Is another instruction set another seed? `make repeatability`."""
