"""Stores keep ids, vectors and payloads, and answer nearest-neighbour queries."""
