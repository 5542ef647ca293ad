"""What the API says, as its description shows it, and how it is made of the package's own classes.

``Client`` reads the same back.
"""

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from paint_search.index import selections
from paint_search.painting import Hit, Painting
from paint_search.search.background import Background
from paint_search.serve.gallery import Gallery

Box = Annotated[list[int], Field(min_length=4, max_length=4)]
"""x, y, width, height in pixels of a picture at its full size, as it is shown."""


class Said(BaseModel):
    """Base of all that is answered."""

    model_config = ConfigDict(ser_json_inf_nan="null")


class Problem(Said):
    """Why a request failed (RFC 9457), with the command line's sentence as its detail."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    error: str | None = Field(description="which of the package's errors it is; null for others")


class Links(Said):
    """Where more about a work is."""

    self: str
    similar: str
    image: str
    thumbnail: str
    iiif: str
    page: str


class Work(Said):
    """A painting."""

    id: str
    path: str = Field(description="below the folder of the collection")
    name: str = Field(description="its title, or the name of its file")
    artist: str | None
    title: str | None
    year: int | float | str | None
    movement: str | None
    fields: dict[str, int | float | str] = Field(description="whatever else is known of it")
    width: int | None = Field(description="in pixels, upright; null where there is no picture")
    height: int | None
    links: Links

    @classmethod
    def of(cls, painting: Painting, gallery: Gallery, *, sizes: bool = True) -> "Work":
        """Say what is known of a painting."""
        width, height = (sizes and gallery.size(painting)) or (None, None)
        at = f"/v1/works/{painting.id}"
        return cls(
            id=painting.id,
            path=painting.path,
            name=name_of(painting),
            artist=painting.artist,
            title=painting.title,
            year=painting.year,
            movement=painting.movement,
            fields=dict(painting.fields),
            width=width,
            height=height,
            links=Links(
                self=at,
                similar=f"{at}/similar",
                image=f"{at}/image",
                thumbnail=f"{at}/thumbnail",
                iiif=f"{at}/iiif/info.json",
                page=f"/works/{painting.id}",
            ),
        )


class Works(Said):
    """A page of works."""

    total: int
    offset: int
    works: list[Work]
    next: str | None = Field(description="address of the next page; null on the last")


class Quantiles(Said):
    """What scores usually are."""

    text: str
    same_artist: list[float] = Field(description="quantiles in steps of 5 %")
    other_artists: list[float]

    @classmethod
    def of(cls, background: Background) -> "Quantiles":
        """Say what they are between works of one artist, and of two."""
        step = len(background.same_artist) // 20
        return cls(
            text=background.describe(),
            same_artist=list(background.same_artist[::step]),
            other_artists=list(background.other_artists[::step]),
        )


class Found(Said):
    """A painting found by a search."""

    rank: int
    score: float = Field(description="cosine to what was looked for")
    work: Work
    above_same_artist: float | None = Field(
        description="share of pairs by one artist, in this index, that are less alike"
    )
    above_other_artists: float | None
    copies: list[Work] = Field(description="near-identical paintings folded into this hit")
    box: Box | None = Field(description="the part that matches, of a search by a detail")

    @classmethod
    def of(cls, hit: Hit, gallery: Gallery) -> "Found":
        """Say what was found."""
        return cls(
            rank=hit.rank,
            score=hit.score,
            work=Work.of(hit.painting, gallery),
            above_same_artist=hit.above_same_artist,
            above_other_artists=hit.above_other_artists,
            copies=[Work.of(copy, gallery) for copy in hit.copies],
            box=None if hit.box is None else list(hit.box),
        )


class Hits(Said):
    """The answer to a search."""

    hits: list[Found]
    background: Quantiles | None = Field(description="null where the index has too few labels")


class Uploaded(Said):
    """A picture that was sent, kept for a while."""

    id: str
    width: int
    height: int
    links: dict[str, str]


class Examples(Said):
    """What is looked for, and what not: ids, or vectors of the backbone's length and any norm."""

    like: list[str | list[float]] = Field(min_length=1, max_length=64)
    unlike: list[str | list[float]] = Field(default=[], max_length=64)


class FacetValue(Said):
    """A value of a field."""

    value: int | float | str
    count: int


class Facet(Said):
    """The values of one field."""

    field: str
    values: list[FacetValue] = Field(description="most works first")
    distinct: int
    missing: int


class Years(Said):
    """When works were made."""

    low: int
    high: int
    counts: list[int] = Field(description="of works in equal parts of the time")
    missing: int


class Facets(Said):
    """How the works that meet a filter divide."""

    total: int
    facets: list[Facet]
    years: Years | None


class Kin(Said):
    """An artist beside another."""

    artist: str
    cosine: float
    works: int


class Artist(Said):
    """An artist, and who is nearest."""

    artist: str
    works: int
    nearest: list[Kin]


class Artists(Said):
    """The artists, by name."""

    artists: list[FacetValue]


class Flat(Said):
    """A painting with its labels beside its id and path."""

    model_config = ConfigDict(extra="allow")

    id: str
    path: str


class Reference(Said):
    """Two works that compare."""

    one: Flat
    other: Flat
    same: bool = Field(description="whether one artist made both")
    probability: float


class Verdict(Said):
    """Whether one artist made two pictures."""

    text: str
    says: str = Field(description="same, different, or cannot tell")
    probability: float = Field(description="where half of all pairs asked about are by one artist")
    reason: str | None = Field(description="why it cannot tell; null where it can")
    references: list[Reference]
    pairs: int = Field(description="that it was calibrated on")
    artists: int


class Part(Said):
    """A property, and what it adds to a score."""

    name: str
    score: float


class Region(Said):
    """A place in each of two pictures, and what the pair adds to their score."""

    one: Box
    other: Box
    score: float


class Side(Said):
    """One of two pictures, and where in it a score comes from."""

    name: str
    painting: Flat | None = Field(description="null for a picture that was sent")
    width: int
    height: int
    seen: list[float] = Field(description="x, y, width, height of what the backbone saw of it")
    heat: list[list[float]] = Field(description="what each place of that adds, row by row")


class Explanation(Said):
    """What the cosine of two pictures is made of."""

    one: Side
    other: Side
    backbone: str
    score: float
    compact_score: float | None = Field(description="of compact vectors, if those are searched")
    parts: list[Part] = Field(description="whose sum is the score")
    regions: list[Region] = Field(description="pairs of places that add most")
    regions_score: float
    regions_pairs: float = Field(description="share of all pairs of places that lies in them")
    random: "Explanation | None" = Field(description="the same of two works picked at random")
    text: list[str]


class StudyName(Said):
    """A question about the whole collection."""

    name: str
    title: str
    page: str


class Studies(Said):
    """The questions about the whole collection."""

    studies: list[StudyName]


class Paragraph(Said):
    """Words of a study."""

    text: str


class Rows(Said):
    """A table of a study."""

    columns: list[str]
    rows: list[list[str]]


class Study(Said):
    """The answer to a question about the whole collection."""

    name: str
    title: str
    result: dict[str, Any] = Field(description="as the command line's --json gives it")
    parts: list[Paragraph | Rows] = Field(description="the same to be read")
    figure: str


class Point(Said):
    """Where a work lies on the map."""

    id: str
    x: float
    y: float


class Map(Said):
    """The works laid out by likeness, as ``paint-search map --json`` describes it."""

    model_config = ConfigDict(extra="allow")

    method: str
    trustworthiness: float | None
    points: list[Point]


class Working(Said):
    """How far an answer is that is being worked on; ask again."""

    state: str = "working"
    words: str
    done: int
    total: int


class Selection(Said):
    """Works under a name."""

    name: str
    count: int
    excluded: bool = Field(description="whether later runs of index leave these works out")

    @classmethod
    def of(cls, selection: selections.Selection) -> "Selection":
        """Say how large it is."""
        return cls(name=selection.name, count=len(selection.paths), excluded=selection.excluded)


class Selections(Said):
    """The selections of an index, by name."""

    selections: list[Selection]


class Selected(Selection):
    """A selection and its works."""

    works: list[Work]


class Kept(Said):
    """What is to be kept under a name."""

    ids: list[str] = Field(max_length=100_000, description="of works, in the order wanted")
    excluded: StrictBool = False


class SkippedFile(Said):
    """A file that is not in the index."""

    path: str
    reason: str


class Skipped(Said):
    """Files that are not in the index, and why."""

    files: list[SkippedFile]


class Embedding(Said):
    """A picture's embedding, of unit norm."""

    vector: list[float]


def name_of(painting: Painting) -> str:
    """Return what to call a painting."""
    return painting.title or PurePosixPath(painting.path).stem
