"""What stands where a year should be -> the earliest and the latest year that it means.

Museums write "c. 1503–19", "late 15th century", "1504-1450 B.C.", "1786 or 1800", "after 1830".
What names no year is no date; nothing is guessed from anywhere else.

The grammar, once accents, brackets, "c.", "?" and what only counts ("no. 1234") are gone:

    date    = clause {("," | ";") clause}   from the earliest year named to the latest; what befell
                                            the work later ("cast 1965", "published 1822") counts
                                            only where nothing before it does
    clause  = {span | joint | word}         an era is that of all before it that have none
    span    = year [joint last digits]      "1843-4", "1503-19"; "1889-05" is a month
            | [part] decade | [part] century [part]
    year    = three or four digits up to 2100, or any number with an era
    decade  = "1870s"                       "1800s" are a century
    century = ("15th" | "XV") ["century"]   or "millennium"; said once for several
    part    = "early" | "mid" | "late" | "turn" | "first half" | ... | "last quarter"
    joint   = "-" | "/" | "to" | "and" | "or"
    era     = "B.C." | "A.D." | "B.C.E." | "C.E."

Years before Christ are negative. Centuries begin with their round year, as catalogues count. How
far "before", "after" and "or later" reach is not said: they mean the year that they name.
"""

import itertools
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

#: Earliest and latest year.
Years = tuple[int, int]

#: A larger number is something else.
_LATEST: Final = 2100

#: Letters of a text that are read.
_LONGEST: Final = 200

#: Parts of centuries, as shares: thirds, but for those that are named so.
_PARTS: Final[dict[str, tuple[float, float]]] = {
    **dict.fromkeys(("early", "beginning", "start"), (0, 1 / 3)),
    **dict.fromkeys(("mid", "middle"), (1 / 3, 2 / 3)),
    **dict.fromkeys(("late", "end"), (2 / 3, 1)),
    "turn": (-0.1, 0.1),
    **{
        f"{word} {name}": (row / count, (row + 1) / count)
        for name, count in (("half", 2), ("third", 3), ("quarter", 4))
        for row, words in enumerate(("first 1st", "second 2nd", "third 3rd", "fourth 4th")[:count])
        for word in words.split() + ["last"] * (row == count - 1)
    },
}

#: Decades are too short for thirds: early and late share a year.
_DECADE_PARTS: Final = {
    _PARTS["early"]: (0, 0.6),
    _PARTS["mid"]: (0.3, 0.7),
    _PARTS["late"]: (0.5, 1),
}

#: What befell a work after it was made; a new print of it is dated, but for those of a decade.
_LATER: Final = re.compile(
    r"\W*(?:with|later|partly|probably|posthumous|first)? *(?:casts?|published|reprinted|exhibited"
    r"|restored|re-?fabricated|reassembled|additions|engraved|acquired|(?<=partly )remade"
    r"|printed (?:early |mid |late )?\d+s)\b"
)

_TOKEN: Final = re.compile(
    rf"(?P<part>\b(?:{'|'.join(sorted(_PARTS, key=len, reverse=True))})\b)"
    r"|(?P<unit>\b(?:centur(?:y|ies)|cent|siecles?|jahrhunderts?|jh|saec|sec|millenni(?:um|a))\b)"
    r"|(?P<decade>\b\d{2,4}s\b)"
    r"|(?P<ordinal>\b\d{1,2}(?:st|nd|rd|th|e|eme|(?=\. ?j))\b|\b[ivx]+(?=e?\b))"
    r"|(?P<year>(?<![\w.])\d{1,9}\b(?!\.\d))"
    r"|(?P<era>\b(?:bc|ad)\b)"
    r"|(?P<joint>[-/&]|\b(?:to|and|or|until|bis|und|oder|et|ou)\b)"
    r"|(?P<word>\w+)"
)
_ROMAN: Final = {"i": 1, "v": 5, "x": 10}

_NTH: Final = r"first|second|third|fourth|last|\d(?:st|nd|rd|th)"

#: How a text becomes what the grammar speaks of, step by step.
_PLAINER: Final = (
    (r"[‐-―−]", "-"),
    (r"\bb\. ?c\.?( ?e\b\.?)?|\bbce?\b", " bc "),
    (r"\ba\. ?d\b\.?|\bc\. ?e\b\.?|\bce\b", " ad "),
    (r"(^|[/;,]|\bto) *-(?=\d)(\d+)", r"\1 \2 bc "),
    (r"(?<=\d),(?=\d{3} *bc)", ""),
    (r"(?<=\d)(st|nd|rd|th)[ -]*c\b\.?(?! *\d)", r"\1 century"),
    # Days, months and eras that are not ours; numbers of things, and sizes.
    (r"\b(\d{4})-\d\d-\d\d\b", r"\1"),
    (r"\b\d{1,2}([./-])\d{1,2}\1(?=\d{4}\b)", ""),
    (r"\b\d+( *- *\d+)? *a\.? ?h\b\.?|\ba\.? ?h\b\.? *\d+( *[-/] *\d+)?", " "),
    (r"\b(no|nos|nr|inv|cat|lot|fol|pl|vol|fig)\b\.? *[\w./-]*\d[\w./-]*|#\d+", " "),
    (r"\d+(\.\d+)? *x *\d+(\.\d+)?", " "),
    (r"(?<![\w.])(circa|cca|ca|c)(\.|(?= *\d))|\bcirca\b|[][(){}?~<>]", " "),
    (r"'(?=s\b)", ""),
    (rf"\b({_NTH})-(?=half|third|quarter)", r"\1 "),
    (rf"(century|\d0s) *,(?= *(?:early|mid|late|{_NTH})\b)", r"\1 "),
    (r"\s+", " "),
)


@dataclass
class _Span:
    """What a clause names: a year, a decade, or a century that knows how many years it has."""

    kind: str
    number: int
    length: int = 0
    part: tuple[float, float] | None = None
    era: str | None = None
    tail: str = ""  # last digits of the year in which it ends
    joined: bool = False  # to the one before

    @property
    def certain(self) -> bool:
        """Whether its number alone tells that it is one."""
        return self.kind != "year" or self.number > 999 or self.era is not None

    def years(self) -> Years:
        """Return its first and last year; none is 0."""
        start, part = self.number, self.part or (0, 1)
        if self.kind == "year":
            return (-start, -self._end()) if self.era == "bc" else (start, self._end())
        if self.kind == "ordinal":
            start = self.length * (-start if self.era == "bc" else start - 1)
        elif self.length == 10:
            part = _DECADE_PARTS.get(part, part)
        first, end = (start + math.ceil(share * self.length - 1e-9) for share in part)
        return first or 1, end - 1

    def _end(self) -> int:
        if not self.tail:
            return self.number
        tail, unit = int(self.tail), int(10 ** len(self.tail))
        end = self.number - self.number % unit + tail
        if self.era == "bc":
            return end if end < self.number else tail
        if end < self.number and tail > 12:  # "1889-05" is a month, "1898-02" as well
            end += unit
        return max(self.number, end)


def read_years(value: str | int | float) -> Years | None:
    """Return the earliest and the latest year that a number or a text means; None for no date."""
    if not isinstance(value, str):
        known = float.is_integer(value) if isinstance(value, float) else True
        return (int(value), int(value)) if known and 0 != value <= _LATEST else None
    letters = unicodedata.normalize("NFKD", value.strip().casefold()[:_LONGEST])
    text = "".join(letter for letter in letters if not unicodedata.combining(letter))
    for pattern, plain in _PLAINER:
        text = re.sub(pattern, plain, text)
    spans: list[_Span] = []
    for clause in re.split("[,;]", text):
        if not (spans and _LATER.match(clause)):
            spans += _read_clause(clause)
    # Three digits are a year where nothing surer is, or what is joined to them.
    if any(span.certain for span in spans):
        joined = [*(span.joined for span in spans[1:]), False]
        kept = zip(spans, joined, strict=True)
        spans = [span for span, next_is in kept if span.certain or span.joined or next_is]
    ends = [year for span in spans for year in span.years()]
    return (min(ends), max(ends)) if ends else None


def _read_clause(clause: str) -> list[_Span]:
    """Return what a clause names, from left to right."""
    spans: list[_Span] = []
    part: tuple[float, float] | None = None
    era, unit, before = None, 0, ""
    for token in _TOKEN.finditer(clause):
        kind, text, last = str(token.lastgroup), token.group(), spans[-1] if spans else None
        joined = before == "joint"
        if kind == "part":
            whole = _PARTS[text.replace("-", " ")]
            part = (part[0], whole[1]) if part and joined else whole
            continue  # what stands around it is still joined
        if kind == "unit":
            unit = 1000 if text.startswith("mill") else 100
            if last and before == "year" and last.number < 100:
                last.kind = "ordinal"
            for span in spans:
                if span.kind == "ordinal":
                    span.length = span.length or unit
        elif kind == "era" and before in ("", "joint", "word"):
            era = text
        elif kind == "era":
            for span in spans:
                span.era = span.era or text
        elif (
            kind == "year"
            and joined
            and last
            and last.kind == "year"
            and not last.tail
            and (len(text) < min(3, len(str(last.number))))
        ):
            last.tail = text
        elif kind in ("year", "ordinal", "decade"):
            span = _read_span(kind, text, part, last)
            # Small numbers are days, but for "50 B.C.-50".
            span.joined = joined and last is not None and (span.number > 99 or bool(last.era))
            span.era, era, part = era, None, None
            spans.append(span)
        before = kind
    if part and spans and not spans[-1].part:
        spans[-1].part = part  # "16th century, first half"
    for span in spans:
        if span.kind == "ordinal":
            span.length = span.length or unit
    return [span for span in spans if _is_date(span)]


def _read_span(kind: str, text: str, part: tuple[float, float] | None, last: _Span | None) -> _Span:
    if kind == "year":
        return _Span(kind, int(text))
    if kind == "decade":
        number = int(text[:-1])
        if number < 100 and last:  # "1860s-70s"
            number += last.number - last.number % 100
        return _Span(kind, number, 100 if number % 100 == 0 else 10, part)
    if digits := re.match(r"\d+", text):
        return _Span(kind, int(digits.group()), part=part)
    values = [_ROMAN[letter] for letter in text]
    pairs = itertools.pairwise([*values, 0])
    return _Span(kind, sum(-one if one < other else one for one, other in pairs), part=part)


def _is_date(span: _Span) -> bool:
    """Tell whether what has been read can be a date, and is not another number."""
    if span.kind == "ordinal":
        return span.length > 0 and 0 < span.number <= (21 if span.era != "bc" else 100)
    if span.kind == "decade":
        return 100 <= span.number <= _LATEST
    if span.era == "bc":
        return span.number > 0
    return (99 if span.era is None and not span.joined else 0) < span.number <= _LATEST
