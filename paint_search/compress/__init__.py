"""Compressors: feature vectors -> shorter ones that keep who is near whom."""
