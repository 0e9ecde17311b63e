"""The server: its answers are those of the library, sessions know of no other, and nobody gets in who should not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from run_folders import untrained
from serving import STROKES, TOKEN, asking, certified_run, drawing

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.data.images import digits_images, framed
from gemsnn.data.scribbles import scribble
from gemsnn.errors import InputError
from gemsnn.runs import certificate
from gemsnn.runs.config import Settings
from gemsnn.serve import sensing, shown
from gemsnn.serve import served as loading
from gemsnn.serve.app import LARGEST, application
from gemsnn.serve.guard import Guard
from gemsnn.serve.sessions import Full, Session, Sessions
from gemsnn.serve.showing import Showing
from gemsnn.types import Layout

ALLOWED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return certified_run(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def served(run):
    return loading.load(run)


@pytest.fixture
def client(served):
    with asking(served) as client:
        yield client


def session(client) -> str:
    return client.post("/api/sessions").json()["id"]


def show(client, name: str, what: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """The lines of a showing, as fast as can be; with a label, of a lesson."""
    way, headers = ("teach", ALLOWED) if "label" in more else ("show", {})
    body = {"shown": what, "real_time": False, **more}
    response = client.post(f"/api/sessions/{name}/{way}", json=body, headers=headers)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


# -- answers -----------------------------------------------------------------------------------------------


def test_a_recording_is_answered_as_by_the_library_to_the_bit(client, served):
    """With all compartments and with some of them, of which none is another for it."""
    part = served.recordings
    for compartments in (1, 3, 5):
        found = gemsnn.predict(served.model, part, compartments)
        for number in (0, 5, 11):
            body = {"shown": {"kind": "recording", "number": number}, "compartments": compartments}
            said = client.post("/api/answers", json=body).json()
            assert list(said["probabilities"].values()) == found.probabilities[number].tolist()
            assert said["label"] == found.labels[number]
            assert said["entropy"] == pytest.approx(float(found.entropy[number]), abs=1e-12)
            assert len(said["votes"]) == compartments


def test_a_certified_answer_is_that_of_the_certificate(client, served, run):
    found = gemsnn.Run(run).promised(served.recordings)
    for number in range(12):
        said = client.post("/api/answers", json={"shown": {"kind": "recording", "number": number}}).json()
        assert said["set"] == {"classes": list(found.sets[number]), "promised": True, "risk": 0.3}
        assert said["answered"] == found.answers[number]
        assert said["strange"] == pytest.approx(float(found.strange[number]))
        assert said["strange_inputs"] == pytest.approx(float(found.strange_inputs[number]))
    some = client.post(
        "/api/answers", json={"shown": {"kind": "recording", "number": 0}, "compartments": 2}
    ).json()
    assert not some["set"]["promised"]
    assert sum(some["probabilities"][name] for name in some["set"]["classes"]) >= 0.95


def test_events_and_bins_of_a_recording_are_answered_alike(client, served):
    part = served.recordings
    bins = [row.nonzero()[0].tolist() for row in part[3].rows.dense()]
    layout, width = part.layout, part.layout.bin_us
    events = [
        [step * width + 5, sender // 2 // layout.height, sender // 2 % layout.height, sender % 2]
        for step, row in enumerate(bins)
        for sender in row
    ]
    seed = int(part.address[3])
    said = [
        client.post("/api/answers", json={"shown": shown, "seed": seed}).json()
        for shown in (
            {"kind": "recording", "number": 3},
            {"kind": "bins", "bins": bins},
            {"kind": "events", "events": events[::-1]},
        )
    ]
    assert said[0] == said[1] == said[2]


def test_what_a_session_is_shown_ends_with_the_same_answer(client):
    lines = show(client, session(client), drawing("5"), seed=3)
    answer = client.post("/api/answers", json={"shown": drawing("5"), "seed": 3}).json()
    assert [line["line"] for line in lines] == ["begin", *["bin"] * 20, "end"]
    assert lines[-1]["answer"] == answer
    last = lines[-2]
    assert last["probabilities"][-1] == pytest.approx(list(answer["probabilities"].values()), abs=1e-4)
    assert len(last["probabilities"]) == len(last["votes"]) == len(last["hidden"]) == 5
    assert np.array(lines[0]["picture"]).shape == (28, 28)


def test_the_same_drawing_with_the_same_seed_gives_the_same(client):
    one, other = session(client), session(client)
    first = show(client, one, drawing("4"), seed=7)
    assert show(client, one, drawing("4"), seed=7) == [
        *first[:-1], first[-1] | {"session": {**first[-1]["session"], "idle_s": pytest.approx(0, abs=60)}}
    ]  # fmt: skip
    assert show(client, other, drawing("4"), seed=7)[:-1] == first[:-1]
    assert show(client, one, drawing("4"), seed=8)[1:-1] != first[1:-1]


def test_steps_in_blocks_are_steps_one_by_one(served):
    bins = shown.material(served, shown.schemas.Scribble(kind="scribble", number=1), 0).bins
    ends = []
    for count in (1, 3, 64):
        showing = Showing(served, served.weights, bins, 9)
        bins_seen = []
        while not showing.over:
            bins_seen += showing.step(count)
        found = showing.outcome()
        ends.append((found.last.answers.probabilities, found.classes, found.first, found.strange))
        assert [each.number for each in bins_seen] == list(range(20))
    for end in ends[1:]:
        assert torch.equal(end[0], ends[0][0])
        assert end[1:] == ends[0][1:]


def test_silence_is_no_answer_and_noise_is_not_sure(client):
    said = client.post("/api/answers", json={"shown": {"kind": "bins", "bins": [[]]}}).json()
    assert said["finding"] == "silent"
    assert said["label"] is None
    assert set(said["probabilities"].values()) == {0.1}
    assert said["entropy"] == pytest.approx(math.log(10))


def test_less_is_promised_of_scribbles(client):
    """Strange inside is what a scribble is more often than a digit of the test part."""
    strange = [
        client.post("/api/answers", json={"shown": {"kind": "scribble", "number": number}}).json()["strange"]
        for number in range(10)
    ]
    usual = [
        client.post("/api/answers", json={"shown": {"kind": "recording", "number": number}}).json()["strange"]
        for number in range(10)
    ]
    assert np.median(strange) < np.median(usual)


# -- lessons -----------------------------------------------------------------------------------------------


def weights_of(served) -> dict[str, torch.Tensor]:
    return {
        f"{place} {name}": leaf.clone()
        for place, params in (("params", served.params), ("first", served.optimiser.first))
        if params is not None
        for name, leaf in params._asdict().items()
        if isinstance(leaf, torch.Tensor)
    }


def test_a_lesson_teaches_and_undo_restores_to_the_bit(served):
    kept = Sessions(served.weights)
    with asking(served, sessions=kept) as client:
        name = session(client)
        at_first = weights_of(kept.get(name).weights)
        before = show(client, name, drawing("1"))[-1]["answer"]
        for lesson in range(3):
            told = show(client, name, drawing("1"), label="7", seed=lesson)[-1]
            assert told["session"]["lessons"] == told["session"]["undoable"] == lesson + 1
        assert any(
            not torch.equal(leaf, at_first[key]) for key, leaf in weights_of(kept.get(name).weights).items()
        )
        taught = show(client, name, drawing("1"))[-1]["answer"]
        assert taught["probabilities"]["7"] > before["probabilities"]["7"]
        assert not taught["set"]["promised"]  # the certificate is about the weights of the training
        assert taught["strange"] is None
        for left in (2, 1, 0):
            said = client.post(f"/api/sessions/{name}/undo", headers=ALLOWED).json()
            assert (said["lessons"], said["undoable"]) == (left, left)
        now = weights_of(kept.get(name).weights)
        assert now.keys() == at_first.keys()
        assert all(torch.equal(leaf, at_first[key]) for key, leaf in now.items())
        assert show(client, name, drawing("1"))[-1]["answer"] == before
        assert client.post(f"/api/sessions/{name}/undo", headers=ALLOWED).status_code == 409


def test_two_sessions_in_turns_answer_as_alone(served):
    """One is taught while the other is shown something, both at the pace of a sensor."""
    lessons = [("1", "7"), ("5", "5"), ("4", "1")]

    def taught(client) -> list[Any]:
        name = session(client)
        return [
            show(client, name, drawing(digit), label=label, real_time=True)[:-1] for digit, label in lessons
        ]

    def looked(client) -> list[Any]:
        name = session(client)
        return [show(client, name, drawing(digit), real_time=True)[:-1] for digit, _ in lessons]

    with asking(served) as client:
        alone = taught(client), looked(client)
        with ThreadPoolExecutor(2) as pool:
            together = [pool.submit(work, client) for work in (taught, looked)]
        assert tuple(each.result() for each in together) == alone
        assert alone[0][1] != alone[1][1]


def test_only_a_whole_lesson_counts(served):
    """A showing that a later one stops leaves no weights behind."""
    with asking(served) as client:
        name = client.post("api/sessions").json()["id"]
        body = {"shown": drawing("1"), "label": "7"}
        with client.stream("POST", f"api/sessions/{name}/teach", json=body, headers=ALLOWED) as lesson:
            come = lesson.iter_lines()
            assert json.loads(next(come))["line"] == "begin"
            later = client.post(f"api/sessions/{name}/show", json={"shown": drawing("5"), "real_time": False})
            assert json.loads(list(come)[-1]) == {"line": "stopped"}
        assert json.loads(later.text.splitlines()[-1])["session"]["lessons"] == 0


def test_one_who_leaves_stops_the_showing(served):
    with asking(served) as client:
        name = client.post("api/sessions").json()["id"]
        with client.stream("POST", f"api/sessions/{name}/show", json={"shown": drawing("1")}) as lines:
            next(lines.iter_lines())
        said = client.post(f"api/sessions/{name}/show", json={"shown": drawing("5"), "real_time": False})
        assert json.loads(said.text.splitlines()[-1])["line"] == "end"


def test_what_changes_the_network_needs_the_token(client):
    name = session(client)
    lesson = {"shown": drawing("1"), "label": "7", "real_time": False}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        for path, body in ((f"/api/sessions/{name}/teach", lesson), (f"/api/sessions/{name}/undo", None)):
            refused = client.post(path, json=body, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert "token" in refused.json()["detail"]
    assert client.get(f"/api/sessions/{name}").json()["lessons"] == 0
    refused = client.post(f"/api/sessions/{name}/teach", json=lesson | {"label": "seven"}, headers=ALLOWED)
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("label must be one of 0, 1")


# -- who may ask, and how much -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("192.168.1.7", 200), ("lab.example", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost@evil.example", 421),
        ("localhost:x", 421), ("localhost/..", 421),
    ],
)  # fmt: skip
def test_a_name_that_somebody_else_may_have_set_is_refused(served, host, status):
    with asking(served, hosts=("Lab.Example",)) as client:
        assert client.get("/health", headers={"host": host}).status_code == status


def test_pages_of_others_may_change_nothing(client):
    own, other = str(client.base_url).rstrip("/"), "http://evil.example"
    assert client.post("/api/sessions", headers={"origin": own}).status_code == 201
    for headers in (
        {"origin": other}, {"origin": "null"}, {"origin": "http://127.0.0.1:9000"}, {"origin": "http://[x"},
        {"sec-fetch-site": "cross-site"},
    ):  # fmt: skip
        assert client.post("/api/sessions", headers=headers).status_code == 403, headers
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "access-control-allow-origin" not in page.headers


def test_the_page_asks_nobody_else(client):
    for path in ("/", "/page.js", "/pad.js", "/views.js", "/page.css"):
        text = client.get(path).text
        assert "//cdn" not in text
        assert "https://" not in text
        assert "@import" not in text


TOO_LONG = [([], LARGEST + 2**20), ([(b"content-length", str(LARGEST + 1).encode())], 0)]
"""Headers, and how many bytes are read of a request without end, in portions of a mebibyte."""


def test_long_requests_are_refused_while_they_come(served, client):
    """No more is taken in than may be sent, whatever is announced; and what announces too much is not read."""
    app, portion, come, sent = application(served, TOKEN), 2**20, 0, []

    async def receive():
        nonlocal come
        come += portion
        return {"type": "http.request", "body": b" " * portion, "more_body": True}

    async def send(message):
        sent.append(message)

    name = session(client)
    for path in ("/api/answers", f"/api/sessions/{name}/file"):
        for announced, read in TOO_LONG:
            come, sent = 0, []
            headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), *announced]
            scope = {
                "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
                "headers": headers, "http_version": "1.1", "scheme": "http",
                "root_path": "", "asgi": {"version": "3.0"},
            }  # fmt: skip
            asyncio.run(app(scope, receive, send))
            status = sent[0]["status"]
            assert (status, come) == ((413, read) if path == "/api/answers" or not read else (404, 0))


def test_there_are_no_web_sockets(client):
    """A handshake is a request like any other, of the page."""
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "x",
    }
    assert client.get("/", headers=upgrade).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[" * 100_000, b'{"shown": {"kind": "bins", "bins": [[1e999]]}}',
        b'{"shown": {"kind": "drawing", "strokes": [[[NaN, 0]]]}}', b'{"shown": {"kind": "\\ud800"}}',
        b'{"shown": {"kind": "bins", "bins": [["1"]]}}', b'{"shown": {"kind": "bins", "bins": [[true]]}}',
        b'{"shown": {"kind": "bins", "bins": [[1]], "more": 1}}', b'{"shown": {"kind": "bins", "bins": []}}',
        b'{"shown": {"kind": "bins", "bins": [[%d]]}}' % 10**30,
        b'{"shown": {"kind": "events", "events": [[0, %d, 0, 1]]}}' % 10**30,
        b'{"shown": {"kind": "bins", "bins": [[100000]]}}', b'{"shown": {"kind": "recording", "number": 9999}}',
        b'{"shown": {"kind": "events", "events": [[0, 26, 0, 1]]}}',
        b'{"shown": {"kind": "bins", "bins": [[0]]}, "seed": -1}',
        b'{"shown": {"kind": "bins", "bins": [[0]]}, "compartments": 6}', b"\xff", b"",
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_a_sentence(client, body):
    refused = client.post("/api/answers", content=body, headers={"content-type": "application/json"})
    assert refused.status_code in (400, 422)
    said = refused.json()["detail"]
    assert 0 < len(said) < 1000
    assert "\n" not in said


# -- sessions ----------------------------------------------------------------------------------------------


def test_sessions_are_few_and_forgotten_when_nobody_uses_them(served):
    now = 0.0
    found = Sessions(served.weights, most=2, idle_s=900, now=lambda: now)
    one, two = found.make(), found.make()
    with pytest.raises(Full, match="as many as there may be"):
        found.make()
    now = 61.0
    assert found.get(two.id) is two
    three = found.make()  # in the place of the one that has rested
    assert found.get(one.id) is None
    assert len(found) == 2
    now = 1000.0
    assert len(found) == 0
    assert found.get(three.id) is None
    assert len({one.id, two.id, three.id}) == 3


def test_a_crowd_is_told_to_wait(served):
    with asking(served, sessions=Sessions(served.weights, most=1)) as client:
        name = session(client)
        assert client.post("/api/sessions").status_code == 503
        assert client.delete(f"/api/sessions/{name}").status_code == 204
        assert client.get(f"/api/sessions/{name}").status_code == 404
        assert client.post("/api/sessions").status_code == 201


def test_as_many_lessons_as_are_kept_can_be_undone(served):
    one = Session(served.weights, 0.0)
    for lesson in range(1, 14):
        one.learn(served.weights._replace(lessons=lesson))
    assert one.undoable == 10
    while one.undo():
        pass
    assert one.weights.lessons == 3


# -- drawings ----------------------------------------------------------------------------------------------

places = st.tuples(*[st.floats(-1, 2, allow_nan=False)] * 2)


@given(
    st.lists(st.lists(places, min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from(["mnist", "digits"]),
)
@settings(deadline=None, max_examples=60)
def test_any_drawing_is_a_picture_with_ink(strokes, hand):
    found = sensing.picture(strokes, hand)
    assert found.shape == (28, 28)
    assert found.dtype == np.uint8
    assert found.max() > 0


@pytest.mark.parametrize("hand", ["mnist", "digits"])
def test_where_and_how_large_somebody_draws_does_not_matter(hand):
    strokes = STROKES["5"]
    found = sensing.picture(strokes, hand).astype(int)
    moved = [[(0.6 * x - 0.1, 0.6 * y + 0.3) for x, y in stroke] for stroke in strokes]
    assert abs(sensing.picture(moved, hand).astype(int) - found).mean() < 2


def test_a_drawing_has_the_size_place_and_ink_of_digits():
    ink = framed(digits_images().images).sum((1, 2)) / 255
    assert ink.mean() == pytest.approx(sensing.INK, abs=1)
    for strokes in STROKES.values():
        picture = sensing.picture(strokes, "mnist") / 255
        rows = np.flatnonzero((picture > 0.5).any(1))
        assert np.ptp(rows) + 1 in (20, 21)
        middle = np.arange(28) + 0.5
        for side in range(2):
            assert picture.sum(side) @ middle / picture.sum() == pytest.approx(14, abs=0.1)
        bold = sensing.picture(strokes, "digits") / 255
        assert bold.sum() == pytest.approx(sensing.INK, rel=0.1)
        rows = np.flatnonzero((bold > 0.5).any(1))
        assert abs((rows[0] + rows[-1] + 1) / 2 - 14) <= 0.5


def test_a_dot_stays_a_dot():
    assert (sensing.picture([[(0.5, 0.5)]], "mnist") > 127).sum() < 10
    with pytest.raises(InputError, match="no ink"):
        sensing.picture([])


def test_a_scribble_is_seen_as_the_library_sees_it(served):
    """The very recording of the scribble of this number before the network's own camera."""
    from gemsnn.data.scribbles import scribbles

    assert (scribble(4) == scribbles(5)[4]).all()
    found = shown.material(served, shown.schemas.Scribble(kind="scribble", number=4), 11)
    seen = served.camera.see(scribble(4), 11, served.model.facts.seed)
    assert (found.bins.numpy() == served.model.bin(seen)).all()


def test_a_digit_of_the_data_set_is_seen_as_its_recording(served):
    """The camera for drawings is the one whose recordings the network has learned from."""
    part = served.recordings
    number = int(part.address[0])
    seen = served.camera.see(framed(digits_images().images[number][None])[0], number, 0)
    assert (served.model.bin(seen) == part[0].rows.dense()).all()


def test_networks_of_other_sensors_are_shown_recordings_alone(tmp_path):
    settings = Settings()
    settings = dataclasses.replace(
        settings, data=dataclasses.replace(settings.data, data="nmnist", root=tmp_path, steps=10)
    )
    untrained(tmp_path / "run", settings, Layout(2, 34, 34, 10, 5000))
    found = loading.load(tmp_path / "run", 3)
    assert found.camera is None
    assert any(note.startswith("no recordings are offered") for note in found.notes)
    assert any("gemsnn certify" in note for note in found.notes)
    with asking(found) as client:
        about = client.get("/api/model").json()
        assert (about["draws"], about["recordings"], about["promise"]) == (False, [], None)
        refused = client.post("/api/answers", json={"shown": drawing("1")})
        assert refused.status_code == 422
        assert "no emulated camera" in refused.json()["detail"]
        said = client.post("/api/answers", json={"shown": {"kind": "bins", "bins": [[0, 5]] * 10}}).json()
        assert said["strange"] is None
        described = client.get("/openapi.json").json()["components"]["schemas"]["Ask"]["properties"]["shown"]
        assert set(described["discriminator"]["mapping"]) == {"bins", "events"}


# -- files, numbers, the command ---------------------------------------------------------------------------


def test_a_file_of_events_is_shown(client, served, tmp_path):
    camera = served.camera
    recording = camera.see(scribble(2), 5, 0)
    named = np.zeros(len(recording.events), [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "i1")])
    for ours, theirs in (("t", "t"), ("x", "x"), ("y", "y"), ("on", "p")):
        named[theirs] = recording.events[ours]
    np.savez(tmp_path / "events.npz", events=named)
    content = (tmp_path / "events.npz").read_bytes()
    path = f"/api/sessions/{session(client)}/file?real_time=false&seed=5"
    lines = [json.loads(line) for line in client.post(path, content=content).text.splitlines()]
    assert lines[0]["bins"] == 80  # as long as it is, though the network has learned from shorter ones
    assert lines[-1]["line"] == "end"
    refused = client.post(path, content=b"no events at all")
    assert refused.status_code == 422
    assert "/tmp" not in refused.json()["detail"]


def test_numbers_for_prometheus(client):
    from prometheus_client.parser import text_string_to_metric_families

    client.post("/api/answers", json={"shown": drawing("1")})
    client.get("/nothing")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    assert found["gemsnn_bins_total",] == 20
    assert found["gemsnn_requests_total", "/api/answers", "200", "POST"] == 1
    assert found["gemsnn_requests_total", "404", "any", "none"] == 1
    assert sum(value for key, value in found.items() if key[0] == "gemsnn_answers_total") == 1
    assert client.get("/health").json()["status"] == "ok"


def test_the_description_has_the_bounds_of_the_network(client, served):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["BinsGiven"]["properties"]["bins"]["items"]["items"]["maximum"] == 26 * 26 * 2 - 1
    assert schemas["Offered"]["properties"]["number"]["maximum"] == len(served.recordings) - 1
    assert schemas["Teach"]["properties"]["label"]["enum"] == [str(digit) for digit in range(10)]
    assert client.get("/docs").status_code == 404  # its page comes from elsewhere


def test_refusals_of_the_command(run, tmp_path, capsys, monkeypatch):
    def said(*words: str) -> str:
        capsys.readouterr()
        assert main(["serve", *words]) == 2
        text = capsys.readouterr().err
        assert text.startswith("gemsnn: ")
        return text

    assert "nothing is missing; give a run folder" in said("nothing", "--port", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "choose another --port" in said(str(run), "--port", str(taken.getsockname()[1]))
    assert "port must be" in said(str(run), "--port", "70000")
    assert "compartments must be" in said(str(run), "--compartments", "0")
    short = tmp_path / "token"
    short.write_text("abc\n")
    assert "at least 8 letters" in said(str(run), "--token-file", str(short))
    assert "cannot be read" in said(str(run), "--token-file", str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "run pip install 'gemsnn[serve]'" in said(str(run))


def test_the_command_serves_and_says_where(run, capsys, monkeypatch):
    """All but the loop of the server."""
    import uvicorn

    seen = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: seen.append((self.config, sockets)))
    assert main(["serve", str(run), "--port", "0"]) == 0
    port = None
    text = capsys.readouterr().err
    assert "http://127.0.0.1:" in text
    assert "/#token=" in text
    assert "over the network" not in text
    ((config, _),) = seen
    assert isinstance(config.app, Guard)
    assert port is None
    assert main(["serve", str(run), "--port", "0", "--host", "0.0.0.0", "--name", "lab.example"]) == 0
    assert "whoever reaches 0.0.0.0" in capsys.readouterr().err


def test_fewer_compartments_than_the_certificate_promise_nothing(run):
    found = loading.load(run, 3)
    assert found.certificate is None
    assert any("the certificate is about 5 compartments and not about 3" in note for note in found.notes)
    assert certificate.load(run) is not None
