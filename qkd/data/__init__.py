"""The data sets: read, put in a canonical order, cached, and cut into batches; photos stay files.

Torch-free but for ``batches``, its ``draws``, and what decodes: ``photo_batches``, ``decoding``,
``crops``, ``normalise``.
"""
