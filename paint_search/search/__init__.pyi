from .background import (
    Background as Background,
)
from .background import (
    measure_backgrounds as measure_backgrounds,
)
from .details import (
    GRID as GRID,
)
from .details import (
    LENGTH as LENGTH,
)
from .details import (
    Template as Template,
)
from .details import (
    agreement as agreement,
)
from .details import (
    lay as lay,
)
from .details import (
    pack as pack,
)
from .filters import (
    Condition as Condition,
)
from .filters import (
    Filter as Filter,
)
from .filters import (
    FilterValue as FilterValue,
)
from .filters import (
    build_filter as build_filter,
)
from .filters import (
    parse_filter as parse_filter,
)
from .names import (
    did_you_mean as did_you_mean,
)
from .names import (
    fold as fold,
)
from .names import (
    has_words as has_words,
)
from .names import (
    near as near,
)
from .query import (
    Group as Group,
)
from .query import (
    combine as combine,
)
from .query import (
    find as find,
)
from .query import (
    is_copy as is_copy,
)
from .recall import (
    Way as Way,
)
from .recall import (
    choose_effort as choose_effort,
)
from .recall import (
    choose_oversampling as choose_oversampling,
)
from .recall import (
    measure_recall as measure_recall,
)
from .recall import (
    measure_ways as measure_ways,
)
from .recall import (
    step_outside as step_outside,
)
