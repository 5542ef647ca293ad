"""The bytes of a text file -> the encoding that they are in, where that is certain.

A byte order mark, UTF-8 and UTF-16 are certain. Of the encodings with a byte a letter several may
make words of the same bytes: they are certain where all that do make the same ones, so that no name
is misspelt without a word.
"""

import codecs
import itertools
import re
import unicodedata
from pathlib import Path
from typing import Final

from paint_search.errors import UsageError, argument

_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)

#: What old programs write, Western Europe first: that one includes Latin-1.
_OTHERS: Final = (
    *("windows-1252", "windows-1250", "windows-1254", "windows-1257", "mac-roman", "cp850"),
    *("windows-1251", "koi8-r", "windows-1253", "shift_jis", "gbk", "big5", "euc-kr"),
)
_HEAD: Final = 4096
_CHUNK: Final = 1 << 20
_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_INSIDE: Final = "’-–—·"  # of a word; other signs only stand around one


def encoding_of(file: Path, asked: str | None = None) -> str:
    """Return the encoding of a text file, as ``open`` takes it.

    Args:
        file: to look into.
        asked: what the user says that it is.

    Raises:
        UsageError: no such encoding, or it is not certain.
        OSError: the file cannot be read.
    """
    if asked is not None:
        try:
            name = codecs.lookup(asked).name
            "".encode(name)  # some codecs are none of text
        except LookupError as error:
            raise UsageError(
                f"{argument('table_encoding', asked)} is no encoding; write utf-8, utf-16, "
                "windows-1252, mac-roman, ..."
            ) from error
        return "utf-8-sig" if name == "utf-8" else name
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    for name, low, high in (
        ("utf-16-le", head[::2], head[1::2]),
        ("utf-16-be", head[1::2], head[::2]),
    ):
        if high and high.count(0) > 2 * len(high) // 3 and not low.count(0):
            return name
    return "utf-8-sig" if _is_utf8(file) else _certain(file)


def _is_utf8(file: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _certain(file: Path) -> str:
    """Return the encoding whose words are words in no other way.

    Raises:
        UsageError: there is none, or several differ.
    """
    with file.open("rb") as stream:
        words = sorted({word for line in stream for word in _WORD.findall(line)})
    readings: dict[tuple[str, ...], str] = {}
    for encoding in _OTHERS:
        try:
            read = tuple(word.decode(encoding) for word in words)
        except UnicodeError:
            continue
        if all(map(_is_word, read)):
            readings.setdefault(read, encoding)
    if len(readings) == 1:
        return next(iter(readings.values()))
    differ = ""
    if readings:
        (one, first), (other, second) = list(readings.items())[:2]
        row = next(row for row, pair in enumerate(zip(one, other, strict=True)) if len({*pair}) > 1)
        differ = f" ({one[row]!r} in {first}, {other[row]!r} in {second})"
    raise UsageError(
        f"{file} is not UTF-8 text, and what else it is in is not certain{differ}; save it as CSV "
        f"in UTF-8, or say it with {argument('table_encoding', 'windows-1252')} or another"
    )


def _is_word(text: str) -> bool:
    """Tell whether letters are of one script, large ones first or all, signs in their places."""
    signs = "".join(sign for sign in text if not sign.isalpha())
    parts = re.split(f"[{re.escape(_INSIDE)}]", text.strip(signs))
    letters = "".join(parts)
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in letters}
    if len(scripts) > 1 or not (letters.isalpha() or not letters):
        return False
    if not text.isprintable() or any(
        "─" <= sign <= "▟" for sign in signs
    ):  # frames, of old screens
        return False
    pairs = (pair for part in parts if not part.isupper() for pair in itertools.pairwise(part))
    return not any(b.isupper() and not (a + b).isascii() for a, b in pairs)
