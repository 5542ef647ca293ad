"""Any image file -> RGB pixels at the size wanted, within limits.

In come files and a preprocessing; out go (h, w, 3) uint8 arrays, perceptual hashes, thumbnails.
A file that cannot be used is one error with its reason. Called by all that show or embed pictures.
"""

from paint_search.indexer.images.decode import MAX_PIXELS, Decoded, decode
from paint_search.indexer.images.formats import is_picture
from paint_search.indexer.images.perceptual_hash import look
from paint_search.indexer.images.preprocessing import FITS, Fit, Preprocessing
from paint_search.indexer.images.thumbnails import decoding, thumbnail
from paint_search.indexer.images.trim import plain_border

__all__ = [
    "FITS",
    "MAX_PIXELS",
    "Decoded",
    "Fit",
    "Preprocessing",
    "decode",
    "decoding",
    "is_picture",
    "look",
    "plain_border",
    "thumbnail",
]
