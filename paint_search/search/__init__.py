"""Vectors -> hits: stores, filters, queries, and what a score means in this index."""
