"""Images that stay files: listed, decoded, cut, and made into batches."""
