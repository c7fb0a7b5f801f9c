"""The forms of a student in files, one a file."""
