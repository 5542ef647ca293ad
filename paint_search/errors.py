"""Every error a user can meet, each with one sentence: what, which file, what to do.

PaintSearchError
├── UsageError         the call makes no sense (exit code 2)
│   └── UnknownError     it names what is not here
├── ImageError         one image file cannot be used; the indexer skips it
│   ├── NotAnImageError  it is no image at all
│   └── OwnPictureError  it was written by this program
├── BackboneError      unknown backbone, missing or unfit weights, or another model than the index's
├── IndexMissingError  there is no index where one was looked for
├── ManifestError      the index's manifest is damaged or newer than this program
├── StoreError         the vector store failed
│   ├── StoreBusyError another process holds it
│   └── StoreMovedError another machine has replaced what was asked
├── CompressError      a compressor cannot be fitted, loaded or used
└── EvalError          an evaluation was given data it cannot judge

A message names arguments as its reader knows them: ``str(error)`` as Python does (``spread=2``),
``error.for_command_line()`` as options (``--spread 2``).
"""

import re
import shlex
from importlib.util import find_spec

_ARGUMENT = re.compile("\ue000([^\ue001]*)\ue001([^\ue002]*)\ue002")

#: Controls, which act on a terminal; what turns the order of a text; bytes that are no text.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def argument(name: str, value: object = None, option: str | None = None) -> str:
    """Return what stands in a message for an argument, until it is known who reads it.

    Args:
        name: of the argument, as Python writes it.
        value: what it is, or should be, set to; None to speak of the argument alone.
        option: of the command line; by default the name with dashes.
    """
    option = option or "--" + name.replace("_", "-")
    python = name if value is None else f"{name}={value!r}"
    typed = option if value is None else f"{option} {shlex.quote(str(value))}"
    return f"\ue000{python}\ue001{typed}\ue002"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return so many of something, such as ``1 painting``, ``2,000 paintings``, ``3 queries``.

    Args:
        count: how many.
        one: what one of them is called.
        many: what several are; ``one`` with an s by default.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def readable(text: str) -> str:
    """Return a text from outside, such as a file's name, as it can be shown anywhere.

    What is no letter but acts on a terminal, and bytes that are no text, are escaped.
    """
    return _NOT_SHOWN.sub(lambda found: _escaped(found[0]), text)


def _escaped(letter: str) -> str:
    is_byte = "\udc80" <= letter <= "\udcff"  # as Python keeps it in the name of a file
    return f"\\x{ord(letter) & 0xFF:02x}" if is_byte else ascii(letter)[1:-1]


def missing_libraries(extra: str, *modules: str) -> str | None:
    """Return which libraries are missing and what installs them, for a message; None if none.

    Args:
        extra: of this package, which installs them.
        modules: as Python imports them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if not missing:
        return None
    *first, last = missing
    named = f"{', '.join(first)} and {last}" if first else last
    return f"{named}: pip install 'paint-search[{extra}]'"


class PaintSearchError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        return _ARGUMENT.sub(r"\1", super().__str__())

    def for_command_line(self) -> str:
        """Return the message with arguments named as the options of the command line."""
        return _ARGUMENT.sub(r"\2", super().__str__())


class UsageError(PaintSearchError):
    """An argument is wrong, or two of them contradict each other."""

    exit_code = 2


class UnknownError(UsageError):
    """Something was named that is not here: a painting, a field, a value."""


class ImageError(PaintSearchError):
    """An image file cannot be decoded or exceeds a limit; the message is the reason alone."""


class NotAnImageError(ImageError):
    """The file's content is no image, or of a kind that is not read."""


class OwnPictureError(ImageError):
    """The picture is one that this program made of an index: a sheet, a plot, a map."""


class BackboneError(PaintSearchError):
    """A backbone or its weights cannot be used."""


class IndexMissingError(PaintSearchError):
    """No index was found where one was looked for."""


class ManifestError(PaintSearchError):
    """The manifest cannot be read, or was written by a newer version."""


class StoreError(PaintSearchError):
    """The vector store could not be opened, read or written."""


class StoreBusyError(StoreError):
    """Another process holds the store."""


class StoreMovedError(StoreError):
    """Another machine has replaced the points by a new generation; opened anew, they are found."""


class CompressError(PaintSearchError):
    """Vectors do not allow a compressor to be fitted, or a saved one cannot be used."""


class EvalError(PaintSearchError):
    """Vectors or labels given to an evaluation do not allow an answer."""
