"""One stage trained: what it begins with, its loop, its recorder, and its process."""
