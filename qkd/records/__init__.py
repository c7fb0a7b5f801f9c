"""What a stage leaves behind: a directory, its lock, and the schema of its files (torch-free)."""
