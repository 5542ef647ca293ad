"""The store on a Qdrant server or cluster: its collection, its points, and the line to it.

In come records and queries, out go matches; every fault of the line is one sentence.
Opened by ``stores.opening`` alone.
"""

import os

# What gRPC logs of a broken line stands between our own sentences; it is set before it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
