"""Run folders without a training: a network as it is drawn, with all that goes with one."""

from __future__ import annotations

from pathlib import Path

from gemsnn.data.reading import reading_of
from gemsnn.data.sets.catalogue import CATALOGUE
from gemsnn.learn import state as states
from gemsnn.learn import train
from gemsnn.model import network as networks
from gemsnn.runs import config, facts, loading
from gemsnn.runs.config import Settings
from gemsnn.runs.models import Model
from gemsnn.store.records import RunFolder
from gemsnn.types import Layout


def untrained(folder: Path, settings: Settings, layout: Layout) -> Model:
    """Write a run folder, and load it."""
    network = networks.build(
        settings.network_spec(layout), seed=settings.train.seed, dtype=networks.DTYPES[settings.network.dtype]
    )
    learner = train.start(networks.init(network, settings.train.seed), settings.learning)
    run = RunFolder.create(folder)
    tensors = states.learner_tensors(network, learner) | networks.masks(network)
    run.save_checkpoint(tensors, {"batches": 0, "updates": 0})
    run.write("config.toml", config.dump(settings))
    run.write_json("manifest.json", {"layout": layout._asdict(), "status": "finished"})
    reading = reading_of(settings.data.bins, CATALOGUE[settings.data.data].sensor, layout)
    facts.save_facts(run, facts.facts_of(settings, reading))
    return loading.load_model(folder)
