from .collection import (
    Collection as Collection,
)
from .compression import (
    CompressSummary as CompressSummary,
)
from .compression import (
    Sample as Sample,
)
from .copy import (
    CopySummary as CopySummary,
)
from .examples import (
    Picture as Picture,
)
from .examples import (
    Query as Query,
)
from .index import (
    Index as Index,
)
from .info import (
    IndexInfo as IndexInfo,
)
from .manifest import (
    Manifest as Manifest,
)
from .search import (
    SearchOptions as SearchOptions,
)
from .selections import (
    Selection as Selection,
)
from .selections import (
    iiif_manifest as iiif_manifest,
)
from .verification import (
    Reference as Reference,
)
from .verification import (
    Verdict as Verdict,
)
from .verification import (
    Verifier as Verifier,
)
