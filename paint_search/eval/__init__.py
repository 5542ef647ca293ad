"""Arrays and labels in; numbers and tables out: pure functions that draw, write and ask nothing.

Anybody may import this room; it imports nobody but the errors. scipy and scikit-learn are loaded
by what needs them, when it is called.

What several functions take means the same in each: `vectors` are (n, d) of any norm, `full` and
`compact` such of the same works, before and after compression; `labels` are n texts, None where a
work takes no part; `queries` and `gallery` are the rows that ask and that may be found (a mask of
n, or indices), all by default; `k` and `ks` are numbers of neighbours; `samples` are bootstrap
resamples of the works within their labels, `level` that of their percentile intervals, and `seed`
that of all that is random. Whatever cannot be judged is an `EvalError`, everywhere a vector without
direction, numbers of labels and vectors that differ, or a selection out of range.
"""

import lazy_loader

# Each name is imported when it is first used, as `__init__.pyi` says from where.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
