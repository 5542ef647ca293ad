"""What somebody typed -> the value that is meant: without regard to case and accents, or nearly so.

Texts in, texts out; nothing is looked up here. Called by what takes values, fields or names from a
user.
"""

import re
import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

#: Least likeness (0 to 1) of what is suggested: "Monnet" and "Monet" have 0.91.
_NEAR: Final = 0.75
_MOST: Final = 3

#: Of more values than these only those are compared that have a word with the same beginning.
_MANY: Final = 2000
_BEGINNING: Final = 3


def fold(text: str) -> str:
    """Return a text without case and accents, as it is compared where exactness finds nothing."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(one for one in letters if not unicodedata.combining(one)).split())


def has_words(text: str, words: str) -> bool:
    """Tell whether a text has all of some words, whatever their case, accents and order.

    Scripts without spaces between words are searched for the letters as they stand.
    """
    folded = fold(text)
    known = set(re.findall(r"\w+", folded))
    wanted = re.findall(r"\w+", fold(words))
    return bool(wanted) and all(
        word in known or (word in folded and any(map(_has_no_spaces, word))) for word in wanted
    )


def near(wanted: str, values: Iterable[str]) -> list[str]:
    """Return up to three of the values that are most like what was wanted, the nearest first.

    Likeness is that of the whole texts, or of each word wanted to the nearest word of the value
    ("Monet" for "Claude Monet"), by Ratcliff and Obershelp, as ``difflib`` has it.
    """
    plain = fold(wanted)
    words = re.findall(r"\w+", plain)
    folded = {value: fold(value) for value in values}
    if len(folded) > _MANY:
        beginnings = {word[:_BEGINNING] for word in words}
        folded = {
            value: text
            for value, text in folded.items()
            if any(word[:_BEGINNING] in beginnings for word in re.findall(r"\w+", text))
        }
    likeness = {value: _likeness(plain, words, text) for value, text in folded.items()}
    ranked = sorted(likeness, key=lambda value: (-likeness[value], value))
    return [value for value in ranked[:_MOST] if likeness[value] >= _NEAR]


def did_you_mean(wanted: str, values: Iterable[str]) -> str:
    """Return what to add to a sentence about a value that is not there; empty if none is near."""
    found = near(wanted, values)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _likeness(plain: str, words: list[str], text: str) -> float:
    whole = SequenceMatcher(None, plain, text, autojunk=False).ratio()
    if not words or whole >= _NEAR:
        return whole
    others = re.findall(r"\w+", text)
    nearest = (
        max((SequenceMatcher(None, word, other).ratio() for other in others), default=0.0)
        for word in words
    )
    return max(whole, 0.99 * sum(nearest) / len(words))


def _has_no_spaces(letter: str) -> bool:
    """Tell whether a letter is of a script that is written without spaces, such as Chinese."""
    return "\u0e00" <= letter <= "\u0eff" or "\u3040" <= letter <= "\u9fff"
