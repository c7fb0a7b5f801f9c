"""WHERE: missing stages become jobs."""
