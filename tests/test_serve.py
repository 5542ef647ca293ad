"""The HTTP API and the command that serves it: what it answers, and what it lives through."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import COMMAND, TOKEN, WORKS, Cli, copy_tree
from PIL import Image
from serving import Served, serving

from paint_search import Index
from paint_search.serve import Limits

TOTAL = 10 * WORKS


@pytest.fixture(scope="module")
def served(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = copy_tree(museum, tmp_path_factory.mktemp("served") / "museum")
    with serving(home / ".paint-search") as server:
        yield server


@pytest.fixture(scope="module")
def works(served: Served) -> list[dict[str, Any]]:
    answer = served.http.get("/v1/works", params={"sort": "name", "limit": 500})
    found: list[dict[str, Any]] = answer.json()["works"]
    return found


@pytest.fixture(scope="module")
def picture(museum: Path) -> bytes:
    return sorted((museum / "paintings").rglob("*.jpg"))[0].read_bytes()


def problem(answer: httpx.Response, status: int) -> str:
    """Expect a problem, and return its sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["title"]
    return str(told["detail"])


# ---- works


def test_works_are_listed_in_order_and_by_pages(served: Served, works: list[Any]) -> None:
    assert len(works) == TOTAL
    names = [(work["artist"], work["title"]) for work in works]
    assert names == sorted(names)
    paged, address = [], "/v1/works?sort=name&limit=7"
    while address:
        page = served.http.get(address).json()
        assert page["total"] == TOTAL
        paged += page["works"]
        address = page["next"]
    assert paged == works
    years = served.http.get("/v1/works?sort=-year&limit=500").json()["works"]
    assert [w["year"] for w in years] == sorted((w["year"] for w in works), reverse=True)
    shuffled = [
        [w["id"] for w in served.http.get(f"/v1/works?sort=random&seed={seed}").json()["works"]]
        for seed in (1, 1, 2)
    ]
    assert shuffled[0] == shuffled[1] != shuffled[2]
    assert sorted(shuffled[2]) == sorted(work["id"] for work in works)


def test_filters_mean_what_they_mean_on_the_command_line(served: Served, works: list[Any]) -> None:
    artist = works[0]["artist"]
    asked = {"where": [f"artist={artist}"], "not": [f"title={works[0]['title']}"]}
    found = served.http.get("/v1/works", params=asked).json()
    assert found["total"] == WORKS - 1
    assert {work["artist"] for work in found["works"]} == {artist}
    for text, status, words in (
        ("colour=red", 404, "no painting has a field 'colour'"),
        ("artist=Nobody", 404, "no painting has the artist 'Nobody'"),
        ("artist", 422, "where"),
    ):
        assert words in problem(served.http.get("/v1/works", params={"where": text}), status)


def test_a_work_with_its_pictures(served: Served, works: list[Any]) -> None:
    work = works[3]
    assert served.http.get(work["links"]["self"]).json() == work
    for address, longer in ((f"{work['links']['thumbnail']}?size=128", 128),
                            (f"{work['links']['image']}?size=100", 100)):  # fmt: skip
        answer = served.http.get(address)
        assert answer.headers["content-type"] == "image/jpeg"
        size = Image.open(io.BytesIO(answer.content)).size
        assert max(size) == longer
        assert size[0] / size[1] == pytest.approx(work["width"] / work["height"], rel=0.02)
    whole = Image.open(io.BytesIO(served.http.get(work["links"]["image"]).content))
    assert whole.size == (work["width"], work["height"])  # never enlarged


def test_iiif(served: Served, works: list[Any]) -> None:
    info = served.http.get(works[0]["links"]["iiif"]).json()
    assert info["profile"] == "level0"
    assert {"width": info["width"], "height": info["height"]} in info["sizes"]
    for size in info["sizes"]:
        name = f"{size['width']},{size['height']}"
        answer = httpx.get(f"{info['id']}/full/{name}/0/default.jpg")
        assert Image.open(io.BytesIO(answer.content)).size == (size["width"], size["height"])
    assert "no size" in problem(httpx.get(f"{info['id']}/full/9,9/0/default.jpg"), 404)


def test_facets(served: Served, works: list[Any]) -> None:
    told = served.http.get("/v1/facets").json()
    assert told["total"] == TOTAL
    by = {facet["field"]: facet for facet in told["facets"]}
    assert {value["count"] for value in by["artist"]["values"]} == {WORKS}
    assert by["artist"]["distinct"] == 10
    assert sum(told["years"]["counts"]) + told["years"]["missing"] == TOTAL
    artist = works[0]["artist"]
    some = served.http.get("/v1/facets", params={"where": f"artist={artist}"}).json()
    assert some["total"] == WORKS
    one = served.http.get("/v1/facets", params={"field": "support", "limit": 1}).json()
    assert len(one["facets"][0]["values"]) == 1
    problem(served.http.get("/v1/facets", params={"field": "colour"}), 404)


# ---- search


def test_similar_by_id_by_link_and_by_a_sent_picture(
    served: Served, works: list[Any], picture: bytes
) -> None:
    work = works[0]
    with Index.open(copy_tree(served.folder, served.folder.with_name("copy"))) as index:
        expected = [(hit.id, round(hit.score, 5)) for hit in index.similar(work["id"], 5)]
    for address in (f"/v1/similar?like={work['id']}&k=5", f"{work['links']['similar']}?k=5"):
        hits = served.http.get(address).json()["hits"]
        assert [(hit["work"]["id"], round(hit["score"], 5)) for hit in hits] == expected
    sent = served.http.post("/v1/pictures", content=picture)
    assert sent.status_code == 201
    by_name = served.http.get(sent.json()["links"]["similar"]).json()
    at_once = served.http.post("/v1/similar", content=picture).json()
    assert by_name == at_once
    assert by_name["hits"][0]["score"] == pytest.approx(1, abs=1e-3)
    shown = served.http.get(sent.json()["links"]["thumbnail"])
    assert shown.headers["content-type"] == "image/jpeg"
    assert served.http.post("/v1/pictures", content=picture).json() == sent.json()


def test_what_cannot_be_looked_for(served: Served, works: list[Any]) -> None:
    stream = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(stream, "PNG")
    http = served.http
    assert "no picture was sent" in problem(http.post("/v1/pictures", content=b""), 400)
    assert "not an image" in problem(http.post("/v1/pictures", content=b"%PDF-1.7"), 422)
    bomb = http.post("/v1/pictures", content=stream.getvalue())
    assert "above this server's limit" in problem(bomb, 422)
    gone = http.get(f"/v1/similar?like=picture-{'0' * 32}")
    assert "send it again" in problem(gone, 404)
    assert "is no id" in problem(http.get("/v1/works/nonsense"), 404)
    missing = http.get(f"/v1/similar?like={'0' * 8}-0000-0000-0000-{'0' * 12}")
    assert "no work here" in problem(missing, 404)
    assert "like" in problem(http.get("/v1/similar"), 422)
    short = http.post("/v1/recommend", json={"like": [[1.0, 2.0]]})
    assert "and not 2" in problem(short, 409)
    assert "k:" in problem(http.get("/v1/similar?like=x&k=0"), 422)
    problem(http.get("/v1/similar?like=x&box=1,2,3"), 422)
    many = [("like", works[0]["id"])] * 65
    assert "like" in problem(http.get("/v1/similar", params=many), 422)
    # A text is never taken for a file of the server.
    assert "is no id" in problem(http.get("/v1/similar", params={"like": "/etc/hostname"}), 404)
    assert "nothing at" in problem(http.get("/v1/nonsense"), 404)
    refused = http.delete(f"/v1/works/{works[0]['id']}")
    assert problem(refused, 405)
    assert refused.headers["allow"] == "GET"
    unknown = http.put("/v1/selections/a", json={"ids": ["none"]})
    assert "is no id of this index" in problem(unknown, 404)
    assert http.post("/v1/selections/a").headers["allow"] == "DELETE, GET, PUT"


def test_more_than_may_be_sent_and_asked(museum: Path, tmp_path: Path, picture: bytes) -> None:
    home = copy_tree(museum, tmp_path / "museum")
    limits = Limits(upload_bytes=len(picture) + 10, at_once=1)
    with serving(home / ".paint-search", limits) as server:
        assert server.http.post("/v1/pictures", content=picture).status_code == 201
        assert "the limit" in problem(server.http.post("/v1/pictures", content=picture * 2), 413)
        assert server.http.get("/v1/works").status_code == 200
    with serving(home / ".paint-search", Limits(held_bytes=len(picture) - 1)) as server:
        refused = server.http.post("/v1/pictures", content=picture)
        assert "others are sending" in problem(refused, 503)
        assert server.http.post("/v1/pictures", content=picture[:9]).status_code == 422
    with serving(home / ".paint-search", Limits(seconds=0)) as server:
        assert "took longer" in problem(server.http.get("/v1/works"), 503)


def test_two_hundred_requests_at_once(served: Served, works: list[Any]) -> None:
    addresses = [f"{works[n % TOTAL]['links']['similar']}?k=3" for n in range(200)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(served.http.get, addresses))
    assert {answer.status_code for answer in answers} == {200}
    assert [a.json() for a in answers[TOTAL : 2 * TOTAL]] == [a.json() for a in answers[:TOTAL]]


# ---- the collection


def test_studies_are_worked_on_and_then_there(served: Served) -> None:
    studies = served.http.get("/v1/studies").json()["studies"]
    for study in [one for one in studies if one["name"] in ("artists", "retrieval")]:
        told = ask_again(served, f"/v1/studies/{study['name']}")
        assert told["title"] == study["title"]
        assert any("rows" in part for part in told["parts"])
        assert served.http.get(told["figure"]).headers["content-type"] == "image/svg+xml"
    assert "no study" in problem(served.http.get("/v1/studies/astrology"), 404)
    problem(served.http.get("/v1/studies/artists?by=colour"), 404)


def test_an_artist_and_who_is_nearest(served: Served) -> None:
    artists = served.http.get("/v1/artists").json()["artists"]
    assert [one["count"] for one in artists] == [WORKS] * 10
    name = artists[0]["value"]
    told = ask_again(served, f"/v1/artists/{name}")
    cosines = [kin["cosine"] for kin in told["nearest"]]
    assert len(cosines) == 9
    assert cosines == sorted(cosines, reverse=True)
    assert "no painting here has the artist" in problem(served.http.get("/v1/artists/Nobody"), 404)


def test_the_map(served: Served) -> None:
    told = ask_again(served, "/v1/map")
    assert len(told["points"]) == TOTAL


def ask_again(served: Served, address: str) -> Any:
    """Ask until the answer is there."""
    while (answer := served.http.get(address)).status_code == 202:
        assert answer.json()["state"] == "working"
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- who may ask


def test_a_token_is_asked_for(museum: Path, tmp_path: Path) -> None:
    home = copy_tree(museum, tmp_path / "museum")
    with serving(home / ".paint-search", token=TOKEN) as server:
        http = server.http
        assert "asks for a token" in problem(http.get("/v1/works"), 401)
        for wrong in ("nonsense", TOKEN[:-1], TOKEN + "x", "é"):
            headers = {"Authorization": f"Bearer {wrong}".encode()}
            assert "wrong" in problem(http.get("/v1/works", headers=headers), 401)
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert http.get("/v1/works", headers=good).status_code == 200
        page = http.get("/works/x?y=1")
        assert page.status_code == 303
        assert page.headers["location"] == "/login?next=/works/x%3Fy%3D1"
        described = http.get("/v1/openapi.json").json()
        assert described["security"]


def test_who_is_not_let_in_may_not_send_much(museum: Path, tmp_path: Path) -> None:
    home = copy_tree(museum, tmp_path / "museum")
    with serving(home / ".paint-search", token=TOKEN) as server:
        wrong = server.http.post("/login", data={"token": "x" * 9000})
        assert "8,192 bytes" in problem(wrong, 413)
        assert server.http.post("/login", data={"token": "x"}).headers["location"].endswith("=/")


def test_other_sites_and_other_names_are_kept_out(served: Served, picture: bytes) -> None:
    http = served.http
    assert "not called" in problem(http.get("/v1/works", headers={"Host": "evil.example"}), 421)
    foreign = {"Origin": "http://evil.example"}
    assert "other sites" in problem(
        http.post("/v1/pictures", content=picture, headers=foreign), 403
    )
    own = {"Origin": served.url}
    assert http.post("/v1/pictures", content=picture, headers=own).status_code == 201
    headers = http.get("/v1/works").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


# ---- what it lives through


def test_a_picture_that_has_gone_and_an_index_that_has_gone(museum: Path, tmp_path: Path) -> None:
    home = copy_tree(museum, tmp_path / "museum")
    with serving(home / ".paint-search") as server:
        work = server.http.get("/v1/works?limit=1").json()["works"][0]
        (home / "paintings" / work["path"]).unlink()
        assert "no picture" in problem(server.http.get(work["links"]["image"]), 404)
        shutil.rmtree(home / ".paint-search")
        for address in ("/v1/works?where=artist=Nobody", work["links"]["similar"], "/v1/info"):
            told = problem(server.http.get(address), 503)
            assert str(home) not in told
        assert server.http.get("/v1/studies").status_code == 200


def test_requests_made_of_the_description_meet_what_it_says(
    served: Served, picture: bytes, tmp_path: Path
) -> None:
    settings = ["--max-examples", "3", "--seed", "1", "--no-color", "--request-timeout", "60"]
    (tmp_path / "picture.jpg").write_bytes(picture)
    program = (  # what a picture is, the description cannot say
        "import pathlib, schemathesis; from hypothesis import strategies as st; "
        "picture = pathlib.Path('picture.jpg').read_bytes(); "
        "schemathesis.openapi.media_type('application/octet-stream', st.just(picture)); "
        "from schemathesis.cli import schemathesis; schemathesis()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, "run", f"{served.url}/v1/openapi.json", *settings],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout


# ---- the command


def test_serve_says_where_it_is_and_stops_when_told(studio: Path) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            [*COMMAND, "serve", "--no-open", "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["paintings"] == TOTAL
        assert httpx.get(f"{told['address']}/v1/works?limit=1").json()["total"] == TOTAL
        process.send_signal(stop)
        _, errors = process.communicate(timeout=30)
        assert process.returncode in (0, -stop)
        assert "GET /v1/works 200" in errors
        assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "lets others in"),
        (["--token-file", "none.txt"], "cannot be read"),
        (["--host", "192.0.2.1", "--token-file", "short"], "a token has"),
        (["--host", "192.0.2.1", "--token-file", "token"], "cannot listen"),
        (["--port", "99999"], "99999"),
    ],
)
def test_what_serve_refuses(studio: Path, cli: Cli, arguments: list[str], words: str) -> None:
    Path("short").write_text("short\n")
    Path("token").write_text(TOKEN + "\n")
    outcome = cli("serve", "--no-open", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
