"""Files -> vectors: scan folders, read labels, decode images, embed them in batches."""
