"""WHAT is measured (torch-free)."""
