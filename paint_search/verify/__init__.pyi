from .judge import (
    Embeddings as Embeddings,
)
from .judge import (
    Judge as Judge,
)
from .judge import (
    probability as probability,
)
from .trial import (
    PAIRS as PAIRS,
)
from .trial import (
    Judged as Judged,
)
from .trial import (
    Material as Material,
)
from .trial import (
    Side as Side,
)
from .trial import (
    calibrate as calibrate,
)
from .trial import (
    cross_judge as cross_judge,
)
from .two_covariance import (
    TwoCovariance as TwoCovariance,
)
