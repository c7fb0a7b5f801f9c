"""The programs of others that run a form, one a file."""
