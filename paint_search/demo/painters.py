"""The ten invented painters: who they are, and with which brushes they paint what.

A painter is a table: palettes, one of which is taken for each work, and layers, one over the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
from PIL import Image

from paint_search.demo import brushes as b
from paint_search.files import write_rows

COLUMNS = ("path", "artist", "title", "year", "movement", "support")
FORMATS = ((4, 3), (3, 4), (1, 1), (3, 2), (4, 5), (16, 10), (2, 3))
MOODS = "quiet first late red hollow small distant broken bright slow second lost"


@dataclass(frozen=True)
class Painter:
    """One invented painter."""

    name: str
    movement: str
    years: tuple[int, int]
    supports: str  #: words, of which a work has one
    subjects: str  #: the same; a title ends with its subject
    palettes: str  #: of hexadecimal words, divided by commas; layers speak of their places
    layers: tuple[b.Layer, ...]  #: what is painted, one over the other
    horizon: b.Range = 0.5  #: its height in parts of the picture's, from the top
    spot: tuple[b.Range, b.Range] = (0.5, 1.0)  #: of the subject or light, across and as a level
    finish: tuple[float, ...] = (0.03, 0.02, 0.3)  #: weave, grain, relief, blur of `brushes.finish`

    def paint(self, rng: b.Rng, size: b.Size) -> Image.Image:
        """Paint a work of the (width, height) in pixels."""
        colours = list(b.varied(rng, b.palette(b.pick(rng, self.palettes.split(","))), 6))
        sheet = Image.new("RGB", (size[0] * b.SCALE, size[1] * b.SCALE), colours[0])
        canvas = b.ground(sheet, rng, [*colours, (255, 255, 255), (0, 0, 0)])
        canvas = replace(canvas, horizon=sheet.height * canvas.draw(self.horizon))
        across, level = (canvas.draw(place) for place in self.spot)
        spot = complex(across * sheet.width, canvas.y(level))
        b.all_of(*self.layers)(replace(canvas, spot=spot))
        return b.finish(sheet, rng, *self.finish)


def paint_corpus(
    folder: Path, works: int = 12, seed: int = 7, painters: Sequence[Painter] | None = None
) -> Path:
    """Paint the corpus into a folder and return the path of its table.

    Args:
        folder: Where to paint; made if absent, files of the same names are replaced.
        works: Works a painter.
        seed: Each picture depends only on (seed, place of the painter, number), so fewer works are
            the first of more, byte for byte on one machine with the same numpy and Pillow.
        painters: Who paints; all of `PAINTERS` by default.

    Returns:
        ``folder/works.csv``, one row a picture; `path` is relative to the folder, with slashes.

    Raises:
        OSError: The folder or a file cannot be written.
    """

    def painted() -> Iterator[tuple[list[object], Image.Image]]:
        for place, who in enumerate(PAINTERS if painters is None else painters):
            titles = ["-".join(words) for words in product(MOODS.split(), who.subjects.split())]
            titles = np.random.default_rng([seed, place]).permutation(titles).tolist()
            for number in range(works):
                rng = np.random.default_rng([seed, place, number])
                again, title = number // len(titles), titles[number % len(titles)]
                title += f"-no-{again + 1}" if again else ""
                year = int(rng.integers(*who.years, endpoint=True))
                support = b.pick(rng, who.supports.split())
                path = f"{who.name}/{title}-{year}.jpg"
                picture = who.paint(rng, picture_size(rng, FORMATS))
                yield [path, who.name, title, year, who.movement, support], picture

    return save_corpus(folder, COLUMNS, painted())


def save_corpus(
    folder: Path, columns: Sequence[str], works: Iterable[tuple[list[object], Image.Image]]
) -> Path:
    """Save pictures and ``works.csv``, a row of whose table begins with the picture's path."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "works.csv"
    with table.open("w", newline="", encoding="utf-8") as handle:
        write_rows(handle, [columns])
        for row, picture in works:
            file = folder / str(row[0])
            file.parent.mkdir(exist_ok=True)
            picture.save(file, quality=90)
            write_rows(handle, [row])
    return table


def picture_size(rng: b.Rng, formats: Sequence[tuple[int, int]]) -> b.Size:
    """Return a (width, height) in pixels of one of the formats, the longer side 360 to 640."""
    across, down = b.pick(rng, formats)
    scale = int(rng.integers(360, 641)) / max(across, down)
    return round(across * scale), round(down * scale)


# fmt: off
DOT = "0p 100 0 70 70 0 100 -70 70 -100 0 -70 -70 0 -100 70 -70"
DAB, DASH = "0p -100 -17 100 -17 100 17 -100 17", "0o 0 0 100 9"
SHARD, STONE = "0p -100 -50 100 -30 40 90", "0p -47 -45 45 -47 47 45 -45 47"
DISC, BAR = "0o 0 0 100 100", "0p -900 -10 900 -10 900 10 -900 10"
RINGS = ",".join(f"{k % 4}o 0 0 {k}00 {k}00" for k in range(14, 0, -1))
ANGLES = ",".join(f"{k % 4}p 0 {-k}00 {k}00 0 0 {k}00 {-k}00 0" for k in range(18, 0, -1))
SHIP = "0p -55 -12 62 -15 42 0 -42 0" + "".join(
    f",0c {x} 0 {x} {-y} 2,1p {x - 16} {-y / 5} {x + 16} {-y / 5} {x + 12} {-y / 2} {x - 12} "
    f"{-y / 2},1p {x - 12} {-.53 * y} {x + 12} {-.53 * y} {x + 7} {-.9 * y} {x - 7} {-.9 * y}"
    for x, y in ((-25, 80), (5, 100), (32, 72)))
CLIFF = ("0p -150 10 -100 -10 -70 -30 -50 -62 -20 -70 0 -66 20 -50 35 -52 50 -27 80 -20 100 -5 "
         "150 10,0p 2 -60 14 -60 11 -100 5 -100,1o 8 -101 4 4")
POPLAR = "1o 30 0 50 7,0o 0 -50 16 50,2o -3 -52 11 45"
OAK = "1o 20 0 55 7,0c 0 0 0 -50 8,0o -18 -58 22 20,0o 16 -64 24 24,2o -20 -64 13 11,2o 8 -76 14 11"
SAIL, RIVER = "0p 0 0 0 -100 55 0", "0p 0 0 -14 30 0 50 -50 130 10 130 16 50 -6 25"
ROWS = "*0p 60 -3 400 -20 400 20 60 3,/1p 60 -3 400 -20 400 20 60 3"
WAVE = "0c -200 0 -150 3 -100 0 -50 3 0 0 50 3 100 0 150 3 200 0 5"
SUN = "*1p 0 0 300 -30 300 30,*3l 0 0 47 0 12,2o 0 0 30 30,4o 0 0 25 25,0o 0 0 20 20,3o 0 0 13 13"
FISH = ("3p -30 0 -58 -20 -50 0 -58 20,4o 0 0 45 19,2o 0 0 40 16.5,3o -3 0 27 11.5,4o -4 0 15 6,"
        "4o 31 -3 4.5 4.5,1o 31 -3 2 2")
BIRD = ("*2c 0 20 0 -40 7.5,*2o 0 -40 10 10,*3o 0 -40 7.5 7.5,*4o 0 -40 4.5 4.5,3o 0 20 13 22,3o "
        "0 -10 9 9,4o 1 -10 3.5 3.5")
TREE = ("4o 0 -10 40 40,0o 0 -10 36 36,1o 0 90 120 62,3c 0 42 0 10 0 -15 6,*4o 26 0 8.5 8.5,*2o "
        "26 0 7 7,*3o 26 0 3 3,/2o 13 0 7.5 7.5,/3o 13 0 3 3")
VASE = ("*2c 0 20 2 -10 0 -36 2.6,*3o 0 -36 10 10,*4o 0 -36 7 7,*2o 0 -36 3.3 3.3,4o 0 30 17 15,"
        "2o 0 30 14 12,3p -14 26 14 26 14 34 -14 34")
QUARTERS = ("1o 50 50 100 100,2o 50 50 55 55", "1o 0 50 50 50,2o 0 50 27 27",
            "0p -100 -100 100 -100 100 100 -100 100,1o 50 50 100 100,2o 50 50 55 55")
BEAD = "0p -900 -900 900 -900 900 900 -900 900,1o 0 0 40 40,2o 0 0 30 30,3o 0 0 14 14"
ROSETTES = [
    "2c -50 -50 -38 -25 -50 0 -62 25 -50 50 5,2c 50 -50 62 -25 50 0 38 25 50 50 5,"
    f"*1l 0 0 48 0 {w},*2l 2 0 45 0 {w - 4},/1l 0 0 36 0 {w},/3l 2 0 33 0 {w - 4},*4l 0 0 20 0 8,"
    "1o 0 0 10 10,0o 0 0 7 7" + "".join(
        f",1o {x} {y} 14 14,2o {x} {y} 11 11" for x in (-50, 50) for y in (-50, 50))
    for w in (20, 16, 12)]
GUITAR = ("1p -30 -10 30 -20 36 20 -20 30,2o 0 5 18.2 18.2,2o 0 -17 13.7 13.7,3o 0 5 17 17,3o 0 "
          "-17 12.5 12.5,2o 0 -5 5.5 5.5,2c 0 -5 0 -50 4.5,5o -24 22 6 6")
BOTTLE = "2p -8 26 -8 -10 -4 -20 -4 -33 4 -33 4 -20 8 -10 8 26,4p -6 25 -6 -10 0 -24 6 -10 6 25"
SITTER = ("2p -8 12 8 12 30 26 36 70 -36 70 -30 26,5p -8 13 8 13 0 30,2o 0 0 14 20,1o 0 0 13 19,"
          "3l 3 -17 10 0 3 17 10,2l -14 -10 0 -19 14 -10 13,2o -6 -2 3 2,2o 6 -2 3 2,5o 0 12 4 1")
SEAL = "0p -50 -50 50 -50 50 60 -50 60,1c -30 -20 30 -20 6,1c -30 20 20 20 6,1c 0 -35 0 50 6"
RING, REED = "100 0 71 71 0 100 -71 71 -100 0 -71 -71 0 -100 60 -78 85 -50", "0 0 10 -60 40 -100"
SIGN = ("-85 -50 0 -62 80 -70,-60 5 0 -2 62 -8,0 -100 6 0 -2 100 -28 84,0 -40 -30 30 -95 85,5 -20 "
        "40 45 105 80,-70 75 0 68 75 70,50 -105 72 -90")
CANE = "0 0 0 -23,0 -25 1 -48,1 -50 2 -73,2 -75 2 -98,2 -100 3 -120"
LEAVES = "0 -50 12 -46 24 -38,0 -50 -10 -45 -20 -38,2 -75 12 -75 22 -69,2 -75 -10 -73 -22 -65"
LOOPS = ",".join(["-60 -50 70 -40 50 50 -70 30 -20 -60 60 20 0 70 -60 -10"] * 7)
CLOTH = "0p -55 0 50 0 55 20 -60 20,2p -60 20 55 20 55 75 -60 80" + "".join(
    f",1l {x} 20 {x + 2} 50 {x} 80 7" for x in (-56, -42, -30, -13, 0, 16, 28, 42, 53))
BALL = "0o 20 -20 80 25,1o 0 -50 50 50,2o -5 -54 43 43,3o -9 -58 34 34,4o -13 -62 23 23"
CANDLE = "0o 0 0 14 4,3p -5 0 -5 -70 5 -70 5 0,4p -5 0 -5 -70 1 -70 1 0,5l 0 -70 0 -83 0 -98 7"
VESSELS = ["0o 20 -3 60 12," + ",".join(f"{k}s " + " ".join(
    f"{(side * s - .35 * (1 - s)) * r:.1f} {-y * 17}" for side, way in ((-1, 1), (1, -1))
    for y, r in list(enumerate(radii))[::way]) for k, s in enumerate((1, .88, .68, .4, .12), 1))
    + f",1o 0 -102 {radii[-1]} {radii[-1] / 5}" for radii in (
    (15, 25, 33, 28, 14, 11, 13), (18, 20, 20, 19, 8, 6, 6), (16, 28, 36, 34, 26, 19, 24))]
BANDS = (((0, 2),), ((0, .7), (.77, 2)), ((0, 1.5), (1.57, 2)), ((0, .4), (.47, 1.2), (1.27, 2)),
         ((0, 1.1), (1.17, 1.4), (1.47, 2)), ((0, .3), (.37, .9), (.97, 1.3), (1.37, 2)))
LIT = {k: (0, (0, k, .3), (0, k, .55), (0, k, .8), k, (k, -2, .25)) for k in (2, 4, 5, 6, 7)}
FIVE, SIX, NIGHT, SOME = (0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (0, -1, .5), (.4, 1.6)
NOTHING, WIDE, ALL = b.all_of(), (.1, .9), (0, 1)

PAINTERS = (
    Painter("Ruben Halvorsund", "Nocturnism", (1851, 1889), "canvas panel",
        "harbour moonrise crossing tide headland watch", "113 236 79b 247 012 fed,"
        "122 256 8bb 367 012 fec,113 347 99b 347 112 fed,213 536 c86 435 112 fd9",
        (b.wash(0, 1, 1, 2, bottom=1), b.shine((2, 5, .3), 1.1, .75),
         b.haze((0, 1, .5), .75, 6, stretch=3, bottom=1),
         b.one_of(NOTHING, b.ridges(((1, 2, .3), (0, 1, .3)), (1.05, 1.07), (.15, .25))),
         b.wash((2, 3, .55), 3, 4, top=1), b.marks(DAB, 6.5, (12, 22), 5, turns=(-8, 8)),
         *(b.strew(b.stamp(DASH, (.01, .04), [(3, 5, .7)]), 150, (-x, x), (1.02, y), near=True)
           for x, y in ((.03, 1.4), (.07, 2))), b.shine(5, .2, .8), b.stamp(DISC, (.03, .06), (5,)),
         b.one_of(b.ridges([NIGHT], [2], (.2, .35)), *[b.strew(b.stamp(
             SHIP, (.2, .3), (NIGHT, (0, 1, .3))), (1, 3), WIDE, (1.05, 1.3), 2)] * 2, *(
             b.strew(b.stamp(CLIFF, (.3, .5), (NIGHT, 5)), 1, x, 1.02) for x in (0, 1)))),
        horizon=(.46, .66), spot=((.25, .75), (.22, .62)), finish=(.035, .02, .5)),
    Painter("Iola Tesserin", "New Mosaic", (1921, 1958), "panel",
        "garden procession orchard fountain feast saint",
        "da3 b72 267 832 eeb,db5 b83 254 b43 fec,278 256 da4 b53 eec,256 144 eb5 7b9 fed",
        (b.wash(3), b.inside(b.wash(2), margin=.03), b.inside(b.wash(0), b.one_of(
            *(b.stamp(form, (.9, 1.1), FIVE, copies=fold, sweep=sweep) for form, fold, sweep in (
                (SUN, (8, 16), 360), (BIRD, (7, 12), 180), (TREE, 8, 360), (VASE, (4, 7), 110))),
            b.all_of(b.strew(b.stamp(WAVE, 1, (1,)), 7, (.4, .6), (0, 2)), b.strew(
                b.stamp(FISH, (.7, .95), FIVE), (1, 3), (.35, .65), (.4, 1.7)))), margin=.06),
         b.marks(STONE, (5.2, 6.6), (5.6, 6.2), 11, rings=True)),
        spot=((.3, .7), (.6, 1.4)), finish=(0, .03, .5)),
    Painter("Renn Hisakawa", "Free Ink", (1948, 1987), "paper",
        "breath reed pass silence rain gate",
        "f3eee2 112 a32,efe9da 211 a32,f6f3ea 111 a32,ece6d8 222 a32",
        (b.haze((0, -1, .5), .16, 24), b.one_of(
            b.strokes(RING, 1, (.27, .36), (.25, .5), 1, (.5, 2.5), shake=.03, turn=(0, 360)),
            *[b.strokes(SIGN, (4, 6), (.36, .46), (.16, .3), 1, (.3, 2), .5, .08)] * 2,
            b.strew(b.all_of(b.strokes(CANE, 5, (1, 1.3), (.03, .06), 1, (0, 1.5), .12, .005),
                             b.strokes(LEAVES, (2, 4), 1.1, .04, 1, 0, 1, .02)), (2, 3), WIDE, 2.1),
            b.ridges(((0, 1, .5), (0, 1, .7), 1), (.8, 1.2, 1.6), (.2, .4), mist=6),
            b.all_of(b.strew(b.stamp(DISC, (.1, .17), ((0, 1, .15),)), 1, ALL, (.4, .8)),
                     b.strew(b.strokes(REED, 1, (.3, .9), .03, 1, 0, .9, .05), (9, 22), ALL, 2))),
         b.one_of(*(b.strew(b.stamp(SEAL, .055, (2, 0)), 1, x, (1.6, 1.8)) for x in (.12, .88)))),
        spot=((.45, .55), (.84, 1)), finish=(0, .015, 0)),
    Painter("Celestine Dubrais", "Divisionism", (1884, 1911), "canvas panel",
        "meadow harvest riverbank poplars noon valley",
        "8be fec 8ac ac6 dd5 484 fea d46,6ad fdb 78c db4 ed7 375 fec e74,"
        "9be fc9 97b d73 eb4 b43 fe9 86b,cad fb8 87b 796 bb5 465 fd8 c59",
        (b.wash(0, (0, 1, .5), 1, bottom=1.1), b.shine(6, .65, .9), b.stamp(DISC, .045, (-2,)),
         b.ridges((2, (2, 3, .6)), (1, 1.14), (.1, .25)), b.wash((2, 3, .6), 3, 4, top=1.14),
         b.one_of(
             b.strew(b.stamp(RIVER, 1.2, ((0, 1, .25),)), 1, (.3, .7), 1.1),
             *[b.strew(b.stamp(ROWS, .8, (7, (4, 5, .45)), (), 90, 20, 160), 1, (.2, .8), .9)] * 2,
             b.all_of(b.wash((0, -1, .2), (0, 2, .5), top=1.1, bottom=1.6),
                      b.strew(b.stamp(SAIL, (.12, .2), (-2,)), (2, 5), WIDE, (1.15, 1.5), 1))),
         b.strew(b.one_of(b.stamp(POPLAR, (.2, .36), ((5, 2, .35), (5, 2, .6), 5)),
                          b.stamp(OAK, (.2, .3), ((5, 2, .25), (5, 2, .6), (5, 6, .3)))),
                 (1, 5), (.05, .95), (1.15, 1.7), 1.2),
         b.marks(DOT, 4.8, (2, 3.2), 7, 1.7), b.marks(DOT, 5.2, (1.4, 2.3), 12, 1.7)),
        horizon=(.35, .55), spot=((.15, .85), (.3, .8)), finish=(0, .015, .25)),
    Painter("Tobin Ashvale", "Colour Field", (1949, 1972), "canvas",
        "ember threshold hour veil chapel heat", "722 c43 d83 411 eb4,834 d67 ea6 513 ec9,"
        "523 b35 e75 312 ea6,224 46a c53 112 9ad,342 894 dc6 222 eda",
        (b.wash((0, -1, .15), 0, angle=(0, 180)), b.one_of(*(
            b.inside(*(b.wash(tone, top=top, bottom=low) for tone, (top, low)
                       in zip(tones, bands, strict=False)), margin=margin)
            for tones in permutations((1, 2, 3, 4)) for bands in BANDS for margin in (.08, .13))),
         b.haze((0, 2, .3), .35, 5)), finish=(.035, .03, 0, 14)),
    Painter("Beatrix Oudemolen", "Tenebrism", (1627, 1661), "panel canvas",
        "supper pitcher pantry grapes table larder",
        "110 642 421 832 953 b22 d82 425,110 543 421 dca 443 ca2 823 324,"
        "110 742 532 343 cb8 773 d73 783,110 532 321 a73 632 b22 ca2 324",
        (b.shine((1, 4, .2), 1.6, 1), b.marks(DAB, 12, (18, 34), 3, turns=(0, 180)),
         b.wash((2, 1, .5), 2, 0, top=1, bottom=1.55, angle=40), b.wash((2, 0, .4), 0, top=1.55),
         b.one_of(NOTHING, b.strew(b.stamp(CLOTH, (.5, .8), ((3, 0, .2), (3, 0, .8), (3, 0, .5))),
                                   1, (.2, .6), 1.25)),
         b.strew(b.one_of(*(b.stamp(vessel, (.36, .56), LIT[k], mirror=False) for vessel in VESSELS
                            for k in (2, 4))), (.6, 2.4), (.15, .75), (1.15, 1.25)),
         b.one_of(NOTHING, NOTHING, b.strew(
             b.all_of(b.shine((6, 5, .3), .5, .5), b.stamp(CANDLE, .3, LIT[6])), 1, WIDE, 1.2)),
         b.one_of(NOTHING, b.strew(b.strew(b.stamp(BALL, .06, LIT[7], mirror=False), 16,
             (-.06, .06), (1.35, 1.55), near=True), 1, (.25, .75), 1)),
         b.strew(b.one_of(*(b.stamp(BALL, (.1, .17), LIT[k], mirror=False) for k in (5, 6))),
                 (3, 7), (.05, .95), (1.3, 1.6))),
        horizon=(.6, .7), spot=((.15, .5), (.3, .6)), finish=(.03, .02, 0, 3)),
    Painter("Anneke Strandhuis", "Hard Edge", (1956, 1984), "canvas panel",
        "interval signal corner axis module counterpoint",
        "f1ead9 d43 248 eb2 112,f4efe4 176 e63 ec4 223,"
        "ece4d2 d34 27a fc4 123,f5f0e6 338 e54 7cb 222",
        (b.one_of(
            b.tiles((4, 7), b.one_of(*(b.stamp(quarter, 1, (), FIVE, turn) for quarter in QUARTERS
                                       for turn in (0, 90, 180, 270))), mixed=True),
            *(b.strew(b.stamp(RINGS, (.1, .2), (), FIVE), 1, x, SOME) for x in (0, 1)),
            *[b.all_of(
                b.strew(b.stamp(DISC, (.16, .42), (), (1, 2, 3), glass=True), (3, 5), WIDE, SOME),
                *(b.strew(b.stamp(BAR, (.5, 1), (4,), (), turn, glass=True), (.4, 1.4), WIDE, SOME)
                  for turn in (0, 90)))] * 2,
            *(b.strew(b.stamp(ANGLES, (.1, .18), (), FIVE), 1, x, level)
              for x, level in (((-.1, 1.1), 0), (0, (.6, 1.4))))),), finish=(.012, .012, 0)),
    Painter("Odile Brannt", "Facetism", (1908, 1926), "canvas",
        "guitar bottle newspaper cafe musician mantelpiece", "986 dc9 443 853 778 b53,"
        "887 ccb 444 753 678 b93,975 dca 433 743 787 843,788 ccc 334 864 568 c74",
        (b.wash((0, 2, .5), 0, 1, 0, (0, 2, .6), angle=(20, 160)),
         b.marks(SHARD, 30, (20, 60), 18, .2, (0, 360)),
         b.one_of(*[b.stamp(GUITAR, (1, 1.4), SIX, turn=(-60, 60))] * 2,
                  b.strew(b.stamp(BOTTLE, (1, 1.5), SIX), (2, 4), WIDE, (.9, 1.2)),
                  b.stamp(SITTER, (1.1, 1.5), SIX)),
         b.marks(SHARD, 32, (12, 34), 26, .2, (0, 360))),
        spot=((.42, .58), (.84, 1.1)), finish=(.035, .025, .35)),
    Painter("Samira Ouzaal", "Ornamentalism", (1894, 1932), "paper panel",
        "carpet courtyard tilework lattice rosette pavilion", "eec 235 278 b43 da3,"
        "136 eec edb 399 c64,723 fec ec8 376 d93,edb 321 354 b53 724,155 fed edb c73 823",
        (b.tiles((14, 20), b.stamp(BEAD, 1, (0, 1), (2, 3, 4))), b.inside(b.wash(1), margin=.075),
         b.inside(b.tiles((3, 7), b.one_of(*(b.stamp(rosette, 1, (0, 1), (2, 3, 4), copies=fold)
                  for rosette, fold in zip(ROSETTES * 2, (6, 8, 10, 8, 10, 12), strict=True)))),
                  margin=.085), b.haze((0, -1, .4), .24, 8))),
    Painter("Marlo Quench", "Action Painting", (1946, 1963), "canvas",
        "weather thicket storm static tangle pulse", "dca 111 eed b33 357 d93,"
        "cb9 211 eed 476 c73 722,bba 111 fee 248 da3 c43,322 edb 111 b33 d93 578",
        (b.wash((0, -2, .12), 0, (0, -1, .1), angle=(0, 180)), *(b.all_of(
            b.strew(b.strokes(LOOPS, (0, 7), (.6, 1.2), (.004, .02), tone, 0, .3, .5), 1, ALL, 1),
            b.strew(b.stamp(DISC, (.002, .012), (tone,)), (10, 60), ALL, (0, 2)))
            for tone in (3, 1, 4, 5, 2, 1, 3, 4, 5, 1))), finish=(.05, .02, 1)),
)
