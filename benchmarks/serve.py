"""The server under load, and how soon its first page can be used.

python benchmarks/serve.py INDEX [--seconds 10] [--browser /usr/bin/chromium]

Server and askers are processes of one machine, and share its processors.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from measure import COMMAND, median

Ask = Callable[[http.client.HTTPConnection, random.Random], bytes]


@contextmanager
def serving(index: Path) -> Iterator[tuple[str, int]]:
    """Yield the host and port of a server in a process of its own."""
    arguments = ("serve", "--no-open", "--port", "0", "--index", str(index), "--json", "--quiet")
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = b""
        while not said.endswith(b"}\n"):
            said += process.stdout.readline()
        _, _, address = json.loads(said)["address"].rpartition("/")
        host, _, port = address.rpartition(":")
        try:
            yield host, int(port)
        finally:
            process.send_signal(signal.SIGINT)


def get(line: http.client.HTTPConnection, path: str, body: bytes | None = None) -> bytes:
    """Return what is answered, which must be there."""
    line.request("GET" if body is None else "POST", path, body)
    answer = line.getresponse()
    content = answer.read()
    assert answer.status == 200, (path, answer.status, content[:200])
    return content


def load(at: tuple[str, int], users: int, seconds: float, ask: Ask) -> list[float]:
    """Return the seconds that each answer took while so many asked, each again at once."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def use(number: int) -> None:
        line, chance = http.client.HTTPConnection(*at, timeout=120), random.Random(number)
        while (start := time.perf_counter()) < end:
            ask(line, chance)
            taken.append(time.perf_counter() - start)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def first_page(address: str, program: str) -> None:
    """Print when the first page has its pictures, what was sent, and the longest frame."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        for run in range(4):
            tab = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            wire = tab.context.new_cdp_session(tab)
            wire.send("Network.enable")
            sent: list[float] = []
            wire.on(
                "Network.loadingFinished", lambda e, sent=sent: sent.append(e["encodedDataLength"])
            )
            start = time.perf_counter()
            tab.goto(address, wait_until="commit")
            tab.locator(".card img").first.wait_for()
            laid_out = time.perf_counter() - start
            tab.wait_for_function(
                "() => [...document.querySelectorAll('.card img')].filter((image) => "
                "image.getBoundingClientRect().top < innerHeight).every((image) => image.complete)"
            )
            done = time.perf_counter() - start
            tab.wait_for_load_state("networkidle")
            print(
                f"first page, run {run}: works laid out {laid_out:.2f} s, pictures in view "
                f"{done:.2f} s, {len(sent)} answers, {sum(sent) / 1e3:.0f} kB"
            )
            tab.context.close()
        browser.close()


def main() -> None:
    """Print the page, then the load: answers a second, and percentiles in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    options = parser.parse_args()
    with serving(options.index) as at:
        line = http.client.HTTPConnection(*at)
        listed = json.loads(get(line, "/v1/works?sort=random&limit=500&seed=1&sizes=false"))
        ids = [work["id"] for work in listed["works"]]
        print(f"{listed['total']:,} works, {os.cpu_count()} processors")
        if Path(options.browser).is_file():
            first_page(f"http://{at[0]}:{at[1]}/", options.browser)
        line.close()  # it was idle for too long; the next question opens it again
        pictures = [get(line, f"/v1/works/{one}/image") for one in ids[:50]]
        kinds: dict[str, Ask] = {
            "similar, by id": lambda line, chance: get(
                line, f"/v1/similar?like={chance.choice(ids)}&k=10"
            ),
            "similar, by a picture that is sent": lambda line, chance: get(
                line, "/v1/similar?k=10", chance.choice(pictures)
            ),
            "a page of 100 works": lambda line, chance: get(
                line, f"/v1/works?sort=name&offset={chance.randrange(1000)}"
            ),
            "a thumbnail": lambda line, chance: get(
                line, f"/v1/works/{chance.choice(ids)}/thumbnail"
            ),
        }
        for kind, ask in kinds.items():
            load(at, 1, 2, ask)
            for users in (1, 8, 64):
                taken = 1000 * np.array(load(at, users, options.seconds, ask))
                middle, most = np.percentile(taken, [50, 99])
                print(
                    f"{kind}, {users} at once: {len(taken) / options.seconds:.0f} a second, "
                    f"p50 {middle:.1f} ms, p99 {most:.1f} ms"
                )
        times = []
        line.close()
        for one, other in zip(ids[:20], ids[20:40], strict=True):
            start = time.perf_counter()
            get(line, f"/v1/explain?{urlencode({'one': one, 'other': other})}")
            times.append(time.perf_counter() - start)
        print(f"explain: median {median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()
