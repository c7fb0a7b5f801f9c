"""A trained stage's networks in forms that others read."""
