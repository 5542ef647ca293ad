"""Pictures -> vectors: scan folders, read labels, decode images, embed them in batches.

In come a walk over files, labels and an engine; out go records, to whatever keeps them, and a
summary. What was done before is asked of the store, so that a killed run goes on. Called by the
index.
"""

from paint_search.indexer.backbones.engines import BATCH
from paint_search.indexer.feature_cache import FeatureCache
from paint_search.indexer.pipeline import Pipeline, Summary
from paint_search.indexer.shared import cores, one_blas_thread

__all__ = ["BATCH", "FeatureCache", "Pipeline", "Summary", "cores", "one_blas_thread"]
