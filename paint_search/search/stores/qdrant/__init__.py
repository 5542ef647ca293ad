"""The store on a Qdrant server or cluster: its collection, its points, and the line to it.

In come records and queries, out go matches; every fault of the line is one sentence.
Opened by ``stores.opening`` alone.
"""
