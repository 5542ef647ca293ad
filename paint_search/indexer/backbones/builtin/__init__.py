"""The backbone of our own: a small network trained on paintings, and descriptors beside it.

In come pixels, out go vectors; nothing is downloaded. README.md is the model card.
Called by the registry of backbones and by the engines alone.
"""
