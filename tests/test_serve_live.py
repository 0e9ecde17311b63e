"""A sensor before the served network: what ``gemsnn stream`` would say, for all who look, until they want no more."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from serving import TOKEN, asking, certified_run, drawing, hearing, sending

from gemsnn.commands.cli import main
from gemsnn.data.scribbles import scribble
from gemsnn.data.sharing import Shared
from gemsnn.data.sources import DATAGRAMS, open_source
from gemsnn.serve import served as loading
from gemsnn.serve.live import Live

pytest.importorskip("fastapi", reason="needs the extra serve")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return certified_run(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def served(run):
    return loading.load(run)


@pytest.fixture(scope="module")
def recorded(served, tmp_path_factory):
    """A file of events, half a second long."""
    path, events = tmp_path_factory.mktemp("file") / "events.csv", served.camera.see(scribble(2), 5, 0).events
    some = events[events["t"] < 500_000]
    columns = [some[name].astype(np.int64) for name in ("t", "x", "y", "on")]
    np.savetxt(path, np.stack(columns, 1), "%d", ",", header="t,x,y,on", comments="")
    return path


@pytest.fixture
def udp(served):
    """A server that hears datagrams, as a client, and the port that they go to."""
    with hearing(served) as (live, port), asking(served, live=live) as client:
        yield client, port


@contextlib.contextmanager
def looking(client, **asked: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """The lines of a session that looks."""
    name = client.post("/api/sessions").json()["id"]
    with client.stream("POST", f"/api/sessions/{name}/live", json=asked) as response:
        assert response.status_code == 200
        yield (json.loads(line) for line in response.iter_lines())


def seen(client, **asked: Any) -> list[dict[str, Any]]:
    with looking(client, **asked) as lines:
        return list(lines)


def test_datagrams_are_seen_while_they_come(udp, served):
    client, port = udp
    assert client.get("/api/model").json()["live"] == "udp://127.0.0.1:0"
    with sending(port), looking(client) as lines:
        begin = next(lines)
        assert (begin["line"], begin["bins"], begin["begins"]) == ("begin", 20, 0)
        bins, pixels = [], set()
        while not (len(bins) > 45 and pixels):
            bins.append(next(lines))
            pixels |= set(bins[-1]["inputs"])
    assert all(line["line"] == "bin" for line in bins)
    # the events of the sender are those, in columns 3 to 6 of row 4
    layout = served.model.reading.layout
    assert pixels <= {2 * (x * layout.height + 4) + 1 for x in range(3, 7)}
    # a stretch of the trained length after the other
    count = [20 * line["presentation"] + line["bin"] for line in bins]
    assert count == sorted(set(count))
    assert {line["presentation"] for line in bins} >= {0, 1}
    assert all(len(line["votes"]) == len(line["hidden"]) == len(line["probabilities"]) == 5 for line in bins)
    assert all(line["promised"] is None for line in bins)
    assert all(line["lag_ms"] >= 0 for line in bins)


def test_several_look_at_once_and_see_the_same(udp):
    client, port = udp
    with sending(port), looking(client, seed=1) as one, looking(client, seed=2) as other:
        found = []
        for lines in (one, other):
            assert next(lines)["line"] == "begin"
            bins = [next(lines) for _ in range(40)]
            found.append(({tuple(line["inputs"]) for line in bins}, [line["hidden"] for line in bins]))
    assert (found[0][0] & found[1][0]) - {()}
    assert found[0][1] != found[1][1]


def test_a_file_is_answered_as_by_the_command(run, served, recorded, capsys):
    """Bin by bin, to the digits that are told; and whoever looks later sees it from its beginning."""
    capsys.readouterr()
    words = ["--input", str(recorded), "--speed", "max", "--compartments", "5", "--address", "3"]
    assert main(["stream", "--model", str(run), *words]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    live = Live(served, str(recorded))
    with asking(served, live=live) as client:
        for _ in range(2):
            begin, *bins, last = seen(client, seed=3)
            assert begin["live"] == str(recorded)
            assert last == {"line": "stopped", "detail": f"{recorded} has ended"}
            kept = [line for line in bins if line["dropped_bins"] == 0]
            assert len(kept) >= 10
            assert kept == bins[: len(kept)]
            for line, stream in zip(kept, said, strict=False):
                assert (line["time_us"], line["votes"]) == (stream["time_us"], stream["votes"])
                assert line["probabilities"][-1] == pytest.approx(stream["probabilities"], abs=1e-4)
                assert (line["labels"][-1] < 0) == (stream["reason"] == "silence")
        name = client.post("/api/sessions").json()["id"]
        before = [line["votes"] for line in seen(client, seed=3)[1:-1]]
        lesson = {"shown": drawing("1"), "label": "7", "real_time": False}
        for _ in range(5):
            client.post(
                f"/api/sessions/{name}/teach", json=lesson, headers={"authorization": f"Bearer {TOKEN}"}
            )
        taught = client.post(f"/api/sessions/{name}/live", json={"seed": 3}).text.splitlines()[1:-1]
        assert [json.loads(line)["votes"] for line in taught] != before  # what was taught is what looks


def test_it_ends_when_it_is_asked_to(udp, served):
    client, _ = udp
    *_, last = lines = seen(client, bins=3)
    assert [line["line"] for line in lines] == ["begin", *["bin"] * 3, "stopped"]
    assert last["detail"] == "as many bins as were asked for have passed"
    name = client.post("/api/sessions").json()["id"]
    with client.stream("POST", f"/api/sessions/{name}/live", json={}) as response:
        come = response.iter_lines()
        assert json.loads(next(come))["line"] == "begin"
        later = client.post(
            f"/api/sessions/{name}/show", json={"shown": drawing("5"), "real_time": False}
        ).text
        assert json.loads(list(come)[-1]) == {"line": "stopped", "detail": "something else was asked for"}
    assert json.loads(later.splitlines()[-1])["line"] == "end"


def test_nobody_is_told_any_more_who_has_left(served):
    with hearing(served) as (live, port), asking(served, live=live) as client:
        with sending(port), looking(client) as lines:
            next(lines)
        until = time.monotonic() + 20
        while live._shared._listeners and time.monotonic() < until:
            time.sleep(0.02)
        assert not live._shared._listeners


def test_what_is_no_source_is_refused(served, run, capsys, tmp_path):
    with asking(served) as client:
        name = client.post("/api/sessions").json()["id"]
        refused = client.post(f"/api/sessions/{name}/live", json={})
        assert (refused.status_code, client.get("/api/model").json()["live"]) == (409, None)
        assert "--input" in refused.json()["detail"]
    for given, why in (
        ("udp://127.0.0.1", "has no port"), ("udp://0.0.0.0:7", "would let in anyone"),
        (str(tmp_path / "none"), "none"),
    ):  # fmt: skip
        capsys.readouterr()
        assert main(["serve", str(run), "--port", "0", "--input", given]) == 2
        assert why in capsys.readouterr().err


def test_a_live_source_is_shared_without_end_and_without_growing():
    source = open_source("udp://127.0.0.1:0")
    shared = Shared(source)
    there = ("127.0.0.1", source.port)
    assert shared.start() == f"listening on udp://127.0.0.1:{there[1]}"
    slow, quick = shared.listen(), shared.listen()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(DATAGRAMS + 10):
            sender.sendto(f"{number},1,2,1\n".encode(), there)
            assert quick.poll(5).message.events["t"].tolist() == [number]
    assert quick.poll(0.01) is None
    assert (quick.trouble.dropped, slow.trouble.dropped) == (0, 10)
    assert slow.poll(1).message.events["t"].tolist() == [10]
    slow.close()
    closer = threading.Thread(target=shared.close)
    closer.start()
    closer.join()
    for listener in (quick, shared.listen()):
        with pytest.raises(EOFError):
            listener.poll(1)
