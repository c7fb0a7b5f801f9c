"""Hostile inputs of each kind, made by hand and by hypothesis: none is executed, none changes a
number in silence, none costs a record. Nothing here attacks the software of others."""
