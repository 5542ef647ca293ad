"""Any image file -> RGB pixels at the size wanted, within limits.

In come files and a preprocessing; out go (h, w, 3) uint8 arrays, perceptual hashes, thumbnails.
A file that cannot be used is one error with its reason. Called by all that show or embed pictures.
"""
