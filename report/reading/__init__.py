"""Everything that is read, once: matrices, records, launches, logs, claimed numbers, speeds."""
