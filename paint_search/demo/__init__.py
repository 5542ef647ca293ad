"""Paints a small corpus by code: ten invented painters, each with a hand of their own.

In go a folder, a number of works and a seed; out come JPEG files, one folder a painter, and a
works.csv that says what they are. It reads nothing, and depicts no real artist's work.
"""

from paint_search.demo.painters import PAINTERS, Painter, paint_corpus

__all__ = ["PAINTERS", "Painter", "paint_corpus"]
