"""Small valid inputs, made by code, from which the mutations start.

An input is one string of bytes. A target that reads several files gets them in one, see :func:`bundle`.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import struct
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.torch
import torch
from event_files import aedat2, dvs_name, hdf5, nmnist, random_events
from synthetic_run import write_run

from gemsnn.data import wire
from gemsnn.data.arrivals import ArrivalSpec
from gemsnn.learn import state as states
from gemsnn.learn import train
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import network as networks
from gemsnn.runs import config
from gemsnn.runs.config import Settings
from gemsnn.types import Layout

SEAM = b"\n\0--next file--\0\n"
LAYOUT = Layout(channels=1, height=2, width=3, classes=3, bin_us=1000)

SETTINGS = """
[data]
data = "nmnist"
root = "some/where"
limit = 50
[network]
hidden = [4, 3]
topology = "layered"
[rule]
rule = "gem-cv"
kappa = 1
gamma = 0.5
[optimiser]
lr = 1e-3
[train]
update_every = 5
seed = 3
[evaluate]
vote_compartments = 4
"""


def bundle(*files: bytes) -> bytes:
    """Several files as one input."""
    return SEAM.join(files)


def unbundle(data: bytes, count: int) -> list[bytes | None]:
    """The files of a bundle; ``None`` for those that it lacks."""
    found: list[bytes | None] = [*data.split(SEAM)]
    return [*found[:count], *[None] * (count - len(found))]


@lru_cache
def aedat2_files() -> list[bytes]:
    random = np.random.default_rng(1)
    events = random_events(random, 40, 74, 100_000, 48)  # within the usual crop
    return [aedat2(events), aedat2(events[:5], origin_us=2**32 - 30_000), aedat2(events[:1])]


@lru_cache
def nmnist_files() -> list[bytes]:
    random = np.random.default_rng(2)
    return [nmnist(random_events(random, count, 34, 300_000)) for count in (40, 1)]


@lru_cache
def npz_files() -> list[bytes]:
    random = np.random.default_rng(3)
    pixels, labels = random.integers(0, 256, (12, 4, 5), np.uint8), np.arange(12) % 3
    found = []
    for images, save in ((pixels, np.savez), (pixels / 255, np.savez_compressed)):
        buffer = io.BytesIO()
        save(buffer, images=images, labels=labels)
        found.append(buffer.getvalue())
    return found


@lru_cache
def idx_files() -> list[bytes]:
    """The images and the labels, each plain."""
    random = np.random.default_rng(4)
    images = b"\0\0\x08\x03" + struct.pack(">3I", 12, 4, 5) + random.bytes(240)
    labels = b"\0\0\x08\x01" + struct.pack(">I", 12) + bytes(n % 3 for n in range(12))
    return [bundle(images, labels), bundle(gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0))]


@lru_cache
def settings_files() -> list[bytes]:
    return [SETTINGS.encode(), config.dump(Settings()).encode()]


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def dvs_members() -> dict[str, bytes]:
    return {f"grabbed_data{d}/scale4/{dvs_name(d, d + 1)}": aedat2_files()[d] for d in (0, 1)}


@lru_cache
def zip_files() -> list[bytes]:
    return [archive(dvs_members()), archive(dvs_members(), zipfile.ZIP_STORED)]


@lru_cache
def hdf5_files() -> list[bytes]:
    random = np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "plain.h5"), Path(folder, "packed.h5")
        made = [(label % 3, random_events(random, 12, 26, 100_000)) for label in range(6)]
        hdf5(plain, made[:4], made[4:])
        with h5py.File(packed, "w") as file:
            for i, (_, e) in enumerate(made):
                columns = np.stack([e["t"], e["x"], e["y"], e["on"]], axis=1)
                file.create_dataset(f"train/{i}", data=columns, compression="gzip", chunks=(6, 4))
            file["train/labels"] = np.array([label for label, _ in made])
        return [plain.read_bytes(), packed.read_bytes()]


def facts_digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def sealed(facts: Any, tensors: bytes) -> bytes:
    """Facts whose digests fit themselves and the tensors, so that a mutation comes past the digests."""
    if not isinstance(facts, dict):
        return json.dumps(facts).encode()
    facts = {key: value for key, value in facts.items() if key != "facts_sha256"}
    if "sha256" in facts:
        facts["sha256"] = hashlib.sha256(tensors).hexdigest()
    return json.dumps(facts | {"facts_sha256": facts_digest(facts)}).encode()


@lru_cache
def model_files() -> list[bytes]:
    """Settings, manifest, and the facts and tensors of a checkpoint."""
    found = []
    for optimiser in ("adam", "sgd"):
        settings = config.parse(
            SETTINGS.replace("[optimiser]", f'[optimiser]\noptimiser = "{optimiser}"'), "seed"
        )
        network = networks.build(settings.network_spec(LAYOUT))
        learner = train.start(networks.init(network, 0), settings.learning)
        named = states.learner_tensors(network, learner) | networks.masks(network)
        tensors = safetensors.torch.save({name: tensor.clone() for name, tensor in named.items()})
        facts = {
            "format": 2,
            "tensors": "tensors.safetensors",
            "sha256": "",
            "metrics_bytes": 0,
            "batches": 3,
            "updates": 3,
            "seed": 3,
            "window": [{"loss": 1.0, "bound": -1.0, "hidden_rate": 0.1, "ess": 2.0}],
            "seconds": 1.5,
        }
        manifest = json.dumps({"status": "interrupted", "layout": LAYOUT._asdict(), "kernel": "reference"})
        found.append(
            bundle(config.dump(settings).encode(), manifest.encode(), sealed(facts, tensors), tensors)
        )
    return found


RUN_FILES = ("manifest.json", "metrics.json", "metrics.jsonl", "config.toml", "example.safetensors")


@lru_cache
def run_files() -> list[bytes]:
    """The files of :data:`RUN_FILES`."""
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder, "run"), compartments=3, presentations=20, updates=8)
        small = {
            "inputs": torch.ones(4, 6, dtype=torch.uint8),
            "hidden": torch.ones(3, 4, 2, dtype=torch.uint8),
            "visible": torch.ones(3, 4, 10, dtype=torch.uint8),
            "label": torch.tensor([3]),
            "votes": torch.tensor([3, 3, 1]),
        }
        safetensors.torch.save_file(small, run / "example.safetensors", {"bin_us": "25000", "index": "17"})
        scores = json.loads((run / "metrics.json").read_text())
        scores["by_time"] = scores["by_time"][::20]
        (run / "metrics.json").write_text(json.dumps(scores))
        return [bundle(*((run / name).read_bytes() for name in RUN_FILES))]


@lru_cache
def part_files() -> list[bytes]:
    """Two parts of a sweep, K = 2 with two seeds."""
    empty = {"low": 0.0, "high": 0.5, "confidence": None, "accuracy": None, "count": 0}
    full = {"low": 0.5, "high": 1.0, "confidence": 0.8, "accuracy": 0.6, "count": 3}
    score = {"log_likelihood": -9.0, "accuracy": 0.5, "ece": 0.1, "nll": 1.0, "tempered": {"ece": 0.05}}
    record = {"presentations": 10, "bound": -5.0, "hidden_rate": 0.1, "ess": 1.0}
    made = [
        {
            "compartments": 2,
            "seed": seed,
            "presentations": {"train": 20},
            "by_compartments": [score | {"reliability": [empty, full]}] * 2,
            "course": [record, record],
            "seconds": {"train": 1.0},
        }
        for seed in (0, 1)
    ]
    return [bundle(*(json.dumps(part).encode() for part in made))]


@lru_cache
def datagrams() -> list[bytes]:
    random = np.random.default_rng(6)
    return [wire.write_datagram(random_events(random, count, 3, 100_000)) for count in (20, 1)]


def lines() -> list[bytes]:
    return [b"1200,3,4,1", b"label,1000,2", b"label,,", b"0, 0, 0, 0"]


def stream_learner() -> OnlineLearner:
    """A stream of the network in :func:`model_files`, that learns."""
    settings = config.parse(SETTINGS, "seed")
    network = networks.build(settings.network_spec(LAYOUT))
    learning = dataclasses.replace(settings.learning, rule=dataclasses.replace(settings.rule, kappa=0.5))
    return OnlineLearner(
        network,
        networks.init(network, 0),
        OnlineSpec(compartments=learning.compartments),
        arrivals=ArrivalSpec(LAYOUT),
        learning=learning,
        kernel="reference",
    )


@lru_cache
def state_files() -> list[bytes]:
    """The facts and tensors of a stream's saved state."""
    tensors = safetensors.torch.save({k: tensor.clone() for k, tensor in stream_learner().state().items()})
    facts = {"format": 1, "kind": "stream", "tensors": "tensors.safetensors", "sha256": ""}
    return [bundle(sealed(facts, tensors), tensors)]
