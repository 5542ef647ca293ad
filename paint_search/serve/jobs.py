"""Answers that take longer than a request may: worked on one after another, kept until they age.

Whoever asks is told how far it is. Knows nothing of HTTP or of what is worked on.
"""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final

from paint_search.painting import Progress

Report = Callable[[str, Progress], None]

_WAITING: Final = 16


class StoppedError(Exception):
    """The server ends, and with it what it was working on."""


class Job:
    """One answer that is being worked on, or is there."""

    def __init__(self, work: Callable[[Report], Any]) -> None:
        self.words, self.progress = "waiting for others", Progress(0, 0)
        self.answer: Future[Any] = Future()
        self.stopped = False
        self._work = work

    def run(self) -> None:
        """Work on it."""
        self.words = "working"
        try:
            self.answer.set_result(self._work(self._report))
        except BaseException as error:  # whoever asks is told
            self.answer.set_exception(error)

    def _report(self, words: str, progress: Progress) -> None:
        self.words, self.progress = words, progress
        if self.stopped:
            raise StoppedError


class Jobs:
    """What is being worked on, by one thread, and what came of it."""

    def __init__(self) -> None:
        self._jobs: dict[Hashable, Job] = {}
        self._turn = threading.Lock()
        self._waiting: SimpleQueue[Job] = SimpleQueue()
        threading.Thread(target=self._run, name="jobs", daemon=True).start()

    def ask(self, key: Hashable, work: Callable[[Report], Any]) -> Job | None:
        """Return the job of this name, begun if need be; None where too many wait already."""
        with self._turn:
            if key not in self._jobs:
                if sum(not job.answer.done() for job in self._jobs.values()) >= _WAITING:
                    return None
                self._jobs[key] = Job(work)
                self._waiting.put(self._jobs[key])
            return self._jobs[key]

    def forget(self) -> None:
        """Drop the answers that are there: what they were about has changed."""
        with self._turn:
            self._jobs = {key: job for key, job in self._jobs.items() if not job.answer.done()}

    def close(self) -> None:
        """Stop at the next word of progress, and begin nothing more."""
        for job in self._jobs.values():
            job.stopped = True

    def _run(self) -> None:
        while True:
            job = self._waiting.get()
            if not job.stopped:
                job.run()
