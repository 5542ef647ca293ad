"""README and docs as a reader would try them: every shell and Python block, run in order.

    python tests/docs_output.py [--write] [--slow] [PAGE...]

says which outputs differ from the real ones; ``--write`` puts the real ones into the pages.

A ```` ```sh ```` block holds commands; a ```` ```console ```` block also what they print, each
command behind ``$``. A ```` ```python ```` block is executed, and what it prints is in the
```` ```text ```` block right below it, if any. A comment before a block says why it is not run:

    <!-- slow: REASON -->      run by this program with --slow, and not by the tests
    <!-- not run: REASON -->   never run: it needs a server, a GPU, weights, ...

In outputs, a line ``...`` stands for any lines. Durations, rates, sizes and digests are not
compared, other decimal fractions within a few hundredths, since processors round differently. What
``paint-search serve`` starts answers at 127.0.0.1:7700 until the page ends, as far as that can see:
it has a free port. Each page begins in a folder of its own, ``/home/ann``, which holds

    paintings/   the demo's pictures and works.csv
    query.jpg    one of them, smaller
    demo/        what ``paint-search demo demo`` leaves
    museum/      paintings/ and an index of 160 small pictures by forty artists
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import re
import shlex
import subprocess
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from conftest import COMMAND, Cli, copy_tree
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
HOME = "/home/ann"
SERVER = "http://127.0.0.1:7700"

_MARKER = re.compile(r"<!-- (slow|not run): (\S.*) -->\s*")
_MEASURED = re.compile(r"\d[\d.,]*(?= ?(?:s|ms|images/s|MB|GB)\b)|(?<!\.)\b[0-9a-f]{16}\b")
_FRACTION = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.]*[\w])")


@dataclass
class Step:
    """A command or a piece of Python, and the lines shown as its output.

    Attributes:
        language: ``shell``, ``python``, or ``text``, which is only read.
        code: what is run.
        shown: None where no output is shown.
        where: first and last line of what is shown, from 0; the last is not included.
        marker: ``slow``, ``not run`` or nothing.
    """

    language: str
    code: str
    line: int
    shown: list[str] | None = None
    where: tuple[int, int] = (0, 0)
    marker: str = ""


def read(page: Path) -> list[Step]:
    """Return what a page holds to be run, in order.

    Raises:
        ValueError: a block that is neither run nor marked.
    """
    steps: list[Step] = []
    marker = ""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    for before, token in zip([None, *tokens], tokens, strict=False):
        at = (token.map or [0])[0]
        if token.type == "html_block":
            said = _MARKER.fullmatch(token.content)
            marker = said[1] if said else ""
            continue
        if token.type == "code_block":
            raise ValueError(f"{page.name}:{at + 1}: an indented block; fence it")
        if token.type == "fence":
            lines = token.content.splitlines()
            match token.info:
                case "sh" | "console":
                    steps += _commands(lines, at + 1, marker, prompts=token.info == "console")
                case "python":
                    steps.append(Step("python", token.content, at + 1, marker=marker))
                case "text":
                    shows = before and before.type == "fence" and before.info == "python"
                    if shows:
                        steps[-1].shown, steps[-1].where = lines, (at + 1, at + 1 + len(lines))
                case other:
                    raise ValueError(f"{page.name}:{at + 1}: a block of {other or 'no language'}")
        marker = ""
    return steps


def _commands(lines: list[str], start: int, marker: str, *, prompts: bool) -> list[Step]:
    """Take a shell block apart: commands, which may go on behind a backslash, and their output."""
    steps: list[Step] = []
    goes_on = False
    for at, line in enumerate(lines, start):
        if goes_on or not prompts or line.startswith("$ "):
            if goes_on:
                steps[-1].code += "\n" + line
            else:
                steps.append(Step("shell", line.removeprefix("$ "), at, marker=marker))
            goes_on = line.endswith("\\")
            if prompts:
                steps[-1].shown, steps[-1].where = [], (at + 1, at + 1)
        elif not steps:
            raise ValueError(f"line {at + 1}: a console block begins with $")
        else:
            steps[-1].shown = [*(steps[-1].shown or []), line]
            steps[-1].where = (steps[-1].where[0], at + 1)
    return [step for step in steps if shlex.split(step.code, comments=True)]


@dataclass
class Reader:
    """Somebody who types in what a page says, from top to bottom, in a home folder."""

    home: Path
    cli: Cli = field(default_factory=Cli)
    names: dict[str, Any] = field(default_factory=dict)
    url: str = SERVER  #: of the server that was started
    leave: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.leave.close()

    def run(self, step: Step) -> list[str]:
        """Run a step and return what it printed.

        Raises:
            AssertionError: it failed, and no error is shown.
        """
        code = step.code.replace(SERVER, self.url)
        output, failed = (
            self._python(code, step.line) if step.language == "python" else self._shell(code)
        )
        output = output.replace(str(self.home), HOME).replace(self.url, SERVER)
        lines = [line.rstrip() for line in output.splitlines()]
        meant = any(line.startswith("error: ") for line in step.shown or [])
        assert failed == meant, "\n".join([step.code, *lines])
        return lines

    def _shell(self, code: str) -> tuple[str, bool]:
        match shlex.split(code, comments=True):
            case ["paint-search", "serve", *arguments]:
                return self._serve(arguments), False
            case ["paint-search", *arguments]:
                outcome = self.cli(*arguments)
                return outcome.output, outcome.code != 0
            case ["cd", folder]:
                os.chdir(folder.replace("~", str(self.home)))
                return "", False
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr, done.returncode != 0

    def _serve(self, arguments: list[str]) -> str:
        """Start a server, which ends when the page does, and return what it said by then."""
        server = self.leave.enter_context(
            subprocess.Popen(
                [*COMMAND, "serve", *arguments, "--port", "0", "--no-open"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        self.leave.callback(server.terminate)
        assert server.stdout is not None
        said = server.stdout.readline()
        self.url = said.split()[0]
        return said

    def _python(self, code: str, line: int) -> tuple[str, bool]:
        output = io.StringIO()
        code = "\n" * line + code  # so that a traceback names the page's line
        with contextlib.redirect_stdout(output):
            try:
                exec(compile(code, "<page>", "exec"), self.names)
            except Exception:
                return output.getvalue() + traceback.format_exc(), True
        return output.getvalue(), False


def furnish(home: Path) -> Path:
    """Make the home folder in which every page begins."""
    from PIL import Image

    home.mkdir()
    with contextlib.chdir(home):
        Cli().ok("demo", "demo")
    copy_tree(home / "demo" / "paintings", home / "paintings")
    picture = min((home / "paintings").rglob("*.jpg"))
    with Image.open(picture) as image:
        image.reduce(2).save(home / "query.jpg", quality=90)
    _found_museum(home / "museum")
    return home


def _found_museum(home: Path) -> None:
    """Index small pictures by artists enough to hold some out, which the demo has not."""
    from academy import ARTISTS, EACH, paint

    from paint_search import Index

    rows = []
    for artist in range(ARTISTS):
        folder = home / "paintings" / f"Artist {artist}"
        folder.mkdir(parents=True)
        for work in range(EACH):
            paint(folder / f"work {work}.png", artist, work)
            rows.append((f"{folder.name}/work {work}.png", folder.name, f"Movement {artist % 5}"))
    with (home / "works.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "artist", "movement"), *rows])
    with Index.create(home / "paintings", home / ".paint-search", backbone="descriptors") as index:
        index.add(table=home / "works.csv")


def alike(shown: list[str], real: list[str]) -> bool:
    """Tell whether lines are as shown, by the rules above."""
    if not shown:
        return not real
    if shown[0] == "...":
        return any(alike(shown[1:], real[skipped:]) for skipped in range(len(real) + 1))
    return bool(real) and _same(shown[0], real[0]) and alike(shown[1:], real[1:])


def _same(shown: str, real: str) -> bool:
    texts, fractions = zip(*map(_pulled_apart, (shown, real)), strict=True)
    return texts[0] == texts[1] and all(
        abs(a - b) <= 0.03 + 0.05 * abs(b) for a, b in zip(*fractions, strict=True)
    )


def _pulled_apart(line: str) -> tuple[list[str], list[float]]:
    """Return the words of a line without what varies, and its fractions."""
    line = _MEASURED.sub("~", line)
    return _FRACTION.sub("~", line).split(), [float(found) for found in _FRACTION.findall(line)]


def elided(shown: list[str], real: list[str]) -> list[str]:
    """Return real lines, shortened where the lines shown now are: as many before and after."""
    if "..." not in shown:
        return real
    head = shown.index("...")
    tail = len(shown) - head - 1
    return [*real[:head], "...", *(real[-tail:] if tail else [])]


def main() -> None:
    """Compare the outputs in the pages with the real ones, and write those if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES, metavar="PAGE")
    parser.add_argument("--write", action="store_true", help="put the real outputs into the pages")
    parser.add_argument("--slow", action="store_true", help="run what is marked as slow, too")
    arguments = parser.parse_args()
    pages = [page.resolve() for page in arguments.pages]
    with tempfile.TemporaryDirectory() as folder:
        furnished = furnish(Path(folder) / "home")
        for page in pages:
            home = copy_tree(furnished, Path(folder) / page.stem)
            with Reader(home) as reader, contextlib.chdir(home):
                _visit(page, reader, write=arguments.write, slow=arguments.slow)


def _visit(page: Path, reader: Reader, *, write: bool, slow: bool) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    changed: list[tuple[Step, list[str]]] = []
    for step in read(page):
        if step.marker == "not run" or (step.marker == "slow" and not slow):
            continue
        try:
            real = reader.run(step)
        except AssertionError as error:
            print(f"{page.name}:{step.line + 1}: failed\n{error}")
            continue
        if step.shown is not None and not alike(step.shown, real):
            print(f"{page.name}:{step.line + 1}: differs: {step.code.splitlines()[0]}")
            changed.append((step, elided(step.shown, real)))
    for step, real in reversed(changed):
        lines[slice(*step.where)] = real
    if write and changed:
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
