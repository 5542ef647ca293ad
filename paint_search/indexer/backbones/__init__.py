"""Backbones turn pixels into feature vectors, and engines run them on this machine.

In come names, weights and batches of pixels, (n, h, w, 3) uint8; out go unit-norm vectors, (n, d)
float32. torch and timm are imported below here alone, and never for a query.
Called by the pipeline, and by the index for queries.
"""
