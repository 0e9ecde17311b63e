"""gemsnn info."""

import json

from shared_data import SHARED, shared

from gemsnn.commands.cli import main


def test_info(nmnist_root, capsys):
    file = next(nmnist_root.rglob("*.bin"))
    assert main(["info", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= {"format", "events", "duration_us", "width", "height", "on_fraction"}
    assert (found["events"], found["width"], found["height"]) == (250, 34, 34)
    assert main(["info", str(file)]) == 0
    assert "events: 250" in capsys.readouterr().out


READ = ("nmnist", "mnist-dvs", "mnist-images", "dvs128-objects", "aedat2-samples", "poker-dvs")
"""Folders of recordings of which every file is read; files of others are read or refused in a sentence."""


def test_info_on_every_real_file(capsys):
    files = [path for path in shared().rglob("*") if path.is_file()]
    assert len(files) > 10
    for file in [
        *files[:: max(1, len(files) // 60)],
        *SHARED.glob("aedat2-samples/*"),
        *SHARED.glob("format-samples/*"),
        *SHARED.glob("*/*.npz"),
    ]:
        code, told = main(["info", str(file), "--json"]), capsys.readouterr()
        if code == 0:
            json.loads(told.out)
            continue
        assert code == 2, file
        assert file.relative_to(SHARED).parts[0] not in READ, file
        assert told.err.startswith("gemsnn: "), file
        assert told.err.count("\n") == 1, file
