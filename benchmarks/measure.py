"""Shared by the benchmarks: run the command line in a process of its own and account for it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-c", "from paint_search.cli.app import main; main()")


@dataclass(frozen=True)
class Run:
    """One finished process: wall seconds, peak resident MB, exit code, standard output."""

    seconds: float
    peak_mb: float
    code: int
    output: str


def run(*arguments: str | Path, command: tuple[str, ...] = COMMAND) -> Run:
    """Run ``paint-search`` (or another command) and wait for it."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    return Run(seconds, usage.ru_maxrss / 1024, process.returncode, output)


def median(values: list[float]) -> float:
    """Return the middle value."""
    return sorted(values)[len(values) // 2]
