"""How soon an alarm tells that the world has changed, and how often it does where nothing has.

    python experiments/unknown-inputs/areas.py --root FOLDER --out SCORES      # makes the scores
    python experiments/alarms/run.py --scores SCORES --out OUT

SCORES holds, for each set, kind of other recordings and seed, the scores of the validation part, of the test part, and
of the others. An alarm is calibrated on the validation part, hears test recordings in random order, and then the
others, in random order too, again and again where they are fewer than 200: the delay is the number of these until it is
raised. Where nothing changes, the streams are of the validation and the test part together, divided at random.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn.reproduce import jobs
from gemsnn.scoring import alarm
from gemsnn.scoring.alarm import Alarm, AlarmSpec

WATCHES: dict[str, tuple[str, ...]] = {
    "doubt and events": ("1 - max", "events"),
    "doubt": ("1 - max",),
    "surprise": ("surprise",),
    "inputs": ("inputs",),
    "all four": ("1 - max", "events", "surprise", "inputs"),
}
"""Scores that are watched together; ``gemsnn stream --certified`` watches all four."""

RATE, BEFORE, AFTER, STREAMS, UNSHIFTED = 0.01, 40, 200, 20, 1000
"""The false-alarm rate, test recordings before the change, the least after it, streams a case and seed, and streams
without a change."""


def heard(scores: NDArray[np.float64], calibration: NDArray[np.float64], seed: int) -> int | None:
    """The recording of a stream, ``[n, k]``, at which an alarm is raised; ``None`` where none is."""
    watching = Alarm(torch.from_numpy(calibration), AlarmSpec(rate=RATE))
    draw = np.random.default_rng(seed)
    for number, row in enumerate(scores):
        found = watching.step(row.tolist(), *draw.random((2, len(row))).tolist())
        if found.raised is not None:
            return number
    return None


def delays(
    found: dict[str, NDArray[Any]], names: tuple[str, ...], streams: int
) -> tuple[list[int | None], int]:
    """Of streams that change: how many changed recordings it took, ``None`` where all were heard; and early alarms."""
    rows = [list(found["names"]).index(name) for name in names]
    calibration, test, shifted = (found[part][rows].T for part in ("validation", "test", "shifted"))
    took, early = [], 0
    for seed in range(streams):
        draw = np.random.default_rng(seed)
        before = test[draw.permutation(len(test))[:BEFORE]]
        again = -(-AFTER // len(shifted))  # of few, the same come again
        after = shifted[np.concatenate([draw.permutation(len(shifted)) for _ in range(again)])]
        at = heard(np.concatenate([before, after]), calibration, seed)
        if at is not None and at < len(before):
            early += 1
        else:
            took.append(None if at is None else at - len(before) + 1)
    return took, early


def false_alarms(found: dict[str, NDArray[Any]], names: tuple[str, ...], streams: int) -> int:
    """Of streams in which nothing changes, how many have an alarm."""
    rows = [list(found["names"]).index(name) for name in names]
    both = np.concatenate([found["validation"][rows].T, found["test"][rows].T])
    count, raised = len(found["validation"][0]), 0
    for seed in range(streams):
        order = np.random.default_rng(seed).permutation(len(both))
        raised += heard(both[order[count:]], both[order[:count]], seed) is not None
    return raised


def drawn(folder: Path) -> Path:
    """Scores of no recordings: normal numbers, those of the others larger by 2."""
    draw, names = np.random.default_rng(0), np.array(["1 - max", "events", "surprise", "inputs"])
    same, other, more = (draw.normal(size=(4, 60)) for _ in range(3))
    path = folder / "drawn, larger numbers, 0.npz"
    np.savez(path, names=names, validation=same, test=other, shifted=2 + more)
    return folder


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scores", type=Path, help="the --out of areas.py; in the quick form, numbers that are drawn"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="few streams, to see that it works")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.scores is None and not given.quick:
        parser.error("--scores is needed, but for --quick")
    given.scores = given.scores or drawn(given.out)
    files = sorted(given.scores.glob("*, *, *.npz"))
    if not files:
        raise SystemExit(f"{given.scores} holds no scores; make them by areas.py")
    streams, unshifted = (2, 5) if given.quick else (STREAMS, UNSHIFTED)
    found: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    quiet: dict[tuple[str, str], list[int]] = defaultdict(list)
    for path in files:
        name, case, seed = path.stem.split(", ")
        with np.load(path) as held:
            scores = {key: held[key] for key in held.files}
        for watch, names in WATCHES.items():
            found[name, case, watch].append(delays(scores, names, streams))
            if seed == "0" and not quiet[name, watch]:
                quiet[name, watch].append(false_alarms(scores, names, unshifted))
    rows = [_row(key, parts, streams) for key, parts in found.items()]
    result = {
        "rate": RATE,
        "bets": alarm.BETS.tolist(),
        "changed": rows,
        "unchanged": [
            {"set": name, "watched": watch, "streams": unshifted, "alarms": counts[0]}
            for (name, watch), counts in quiet.items()
        ],
    }
    (given.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    for row in result["unchanged"]:
        print(
            f"{row['set']}, {row['watched']}: {row['alarms']} alarms in {row['streams']} streams without a change"
        )
    print("\n| set | what comes | " + " | ".join(WATCHES) + " |\n|---|---|" + "---|" * len(WATCHES))
    for name, case in dict.fromkeys((row["set"], row["case"]) for row in rows):
        cells = [row for row in rows if (row["set"], row["case"]) == (name, case)]
        print(f"| {name} | {case} | " + " | ".join(_cell(row) for row in cells) + " |")


def _row(
    key: tuple[str, str, str], parts: list[tuple[list[int | None], int]], streams: int
) -> dict[str, Any]:
    """Of all streams of a case: the share that had an alarm after the change, and when; means by seed."""
    took = [[each for each in part[0] if each is not None] for part in parts]
    every = [each for part in took for each in part]
    return {
        "set": key[0],
        "case": key[1],
        "watched": key[2],
        "raised": len(every) / max(1, sum(len(part[0]) for part in parts)),
        "median": float(np.median(every)) if every else None,
        "ninth_tenth": float(np.quantile(every, 0.9)) if every else None,
        "mean": jobs.mean([float(np.mean(each)) for each in took if each]) if every else None,
        "early": sum(part[1] for part in parts) / (streams * len(parts)),
        "seeds": len(parts),
    }


def _cell(row: dict[str, Any]) -> str:
    if not row["raised"]:
        return "never"
    share = "" if row["raised"] == 1 else f", in {row['raised']:.0%}"
    return f"{row['median']:.0f} ({row['ninth_tenth']:.0f}){share}"


if __name__ == "__main__":
    main()
