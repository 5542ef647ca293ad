from .backbones.engines import (
    BATCH as BATCH,
)
from .feature_cache import (
    FeatureCache as FeatureCache,
)
from .pipeline import (
    Pipeline as Pipeline,
)
from .pipeline import (
    Summary as Summary,
)
from .shared import (
    cores as cores,
)
from .shared import (
    one_blas_thread as one_blas_thread,
)
