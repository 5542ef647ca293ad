from .dates import (
    Years as Years,
)
from .dates import (
    read_years as read_years,
)
from .labels import (
    FOLDER as FOLDER,
)
from .labels import (
    LabelSource as LabelSource,
)
from .labels import (
    clean as clean,
)
from .labels import (
    folder_labels as folder_labels,
)
from .labels import (
    label_source as label_source,
)
from .labels import (
    pattern_labels as pattern_labels,
)
from .labels import (
    table_labels as table_labels,
)
from .scan import (
    Part as Part,
)
from .scan import (
    ScannedFile as ScannedFile,
)
from .scan import (
    Walk as Walk,
)
from .scan import (
    find_file as find_file,
)
from .scan import (
    scan as scan,
)
from .skips import (
    SkipList as SkipList,
)
from .skips import (
    inside as inside,
)
from .skips import (
    read_skips as read_skips,
)
from .skips import (
    skip_list as skip_list,
)
from .table import (
    Fault as Fault,
)
from .table import (
    LabelTable as LabelTable,
)
from .table import (
    read_cell as read_cell,
)
