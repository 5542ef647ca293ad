"""Paints small corpora by code: ten invented painters, each with a hand of their own, and ink.

In go a folder, a number of works and a seed; out come JPEG files, for the painters one folder each,
and a works.csv that says what they are. It reads nothing, and depicts no real artist's work.
"""

from paint_search.demo.ink import paint_ink_corpus
from paint_search.demo.painters import PAINTERS, Painter, paint_corpus

__all__ = ["PAINTERS", "Painter", "paint_corpus", "paint_ink_corpus"]
