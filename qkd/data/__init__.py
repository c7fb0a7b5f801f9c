"""The data sets: read, put in a canonical order, cached, and cut into batches.

Only ``batches`` imports torch.
"""
