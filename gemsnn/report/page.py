"""The page: figures, tables and words of a run, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from importlib import resources
from typing import Any

from gemsnn.report.comparing import NO_DIFFERENCE, changed_words, compare, decoder, error
from gemsnn.report.numbers import NBSP, error_percent, is_number, measured, number, plural
from gemsnn.report.parts import missing, section
from gemsnn.report.promised import promised
from gemsnn.report.reading import Row, Run
from gemsnn.report.sections import augmentation, learning, recordings, uncertainty, weights
from gemsnn.report.together import together
from gemsnn.report.unknown import unknown
from gemsnn.report.words import summary, temperature_sign


def render(run: Run) -> str:
    """The page as text: the same run gives the same page."""
    data = str(run.config.get("data", {}).get("data", run.name))
    title = escape(f"{run.name}: gemsnn on {data}" if data != run.name else f"gemsnn on {data}")
    css = resources.files("gemsnn.report").joinpath("style.css").read_text(encoding="utf-8")
    words = "".join(f"<p>{paragraph}</p>\n" for paragraph in summary(run))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n'
        f"<style>{css}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<p class="kicker">gemsnn {escape(str(run.manifest.get("gemsnn", "")))}'
        f" · run {escape(run.name)}</p>\n<h1>{escape(data)}</h1>\n"
        f'{_notice(run)}<div class="summary">\n{words}</div>\n</header>\n'
        + "".join(
            section(run)
            for section in (
                together,
                _tiles,
                uncertainty,
                promised,
                unknown,
                recordings,
                learning,
                augmentation,
                weights,
                _costs,
                _details,
            )
        )
        + "</main>\n</body>\n</html>\n"
    )


def _notice(run: Run) -> str:
    warning = {
        "finished": "",
        "interrupted": "This run was interrupted: what follows is what it had reached.",
    }.get(run.status, "This run has not finished, or it was cut off: what follows is what it had reached.")
    told = (escape(str(note)) for note in run.manifest.get("notes") or ())
    notes = " ".join(note if note.endswith(".") else f"{note}." for note in told)
    return (f'<p class="notice">{warning}</p>\n' if warning else "") + (
        f'<p class="note">Note: {notes}</p>\n' if notes else ""
    )


_TILES: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("accuracy", "Accuracy", "recordings named correctly; higher is better", error_percent),
    (
        "ece",
        "Calibration error",
        "how far confidence is from the truth, on average; lower is better",
        error_percent,
    ),
    ("nll", "Surprise (NLL)", "at the true class, in nats; lower is better", number),
    ("brier", "Brier score", "squared error of the probabilities, 0 to 2; lower is better", number),
    (
        "log_likelihood",
        "Log-likelihood",
        "of the wanted output spikes, nats per recording; higher is better",
        number,
    ),
)


def _tiles(run: Run) -> str:
    if run.scores is None:
        return section(
            "Key figures", "", missing("There are no key figures: the final evaluation is missing.")
        )
    scores, baseline = run.scores, run.scores.get("baseline") or {}
    body = "".join(_tile(scores, baseline, *tile) for tile in _TILES)
    return section("Key figures", _how_told(scores), f'<dl class="tiles">\n{body}</dl>\n')


def _tile(scores: Row, baseline: Row, key: str, name: str, meaning: str, show: Callable[[Any], str]) -> str:
    warm, other_warm = scores.get("tempered") or {}, baseline.get("tempered") or {}
    value = _value(scores, key, show)
    versus = '<dd class="versus">no baseline</dd>'
    if is_number(baseline.get(key)):
        kind, words = _verdict(scores, baseline, key)
        versus = f'<dd class="versus {kind}">baseline {show(baseline[key])}: {words}</dd>'
    tempered = ""
    if is_number(warm.get(key)):
        change = changed_words(temperature_sign(scores, key))
        beside = f" (baseline {show(other_warm[key])})" if is_number(other_warm.get(key)) else ""
        tempered = f'<dd class="warm">at temperature {show(warm[key])}{beside}: {change}</dd>'
    return (
        f'<div class="tile"><dt>{name}</dt><dd class="value">{value}</dd>{versus}{tempered}'
        f'<dd class="meaning">{meaning}</dd></div>\n'
    )


def _value(scores: Row, key: str, show: Callable[[Any], str]) -> str:
    if not is_number(scores.get(key)):
        return "–"
    wide = error(scores, key, scores)
    if wide is None:
        return show(scores[key])
    if key == "accuracy":
        value, plus, rest = measured(scores[key], scores["presentations"]).partition(NBSP)
        return f"{value}<small>{plus}{rest}</small>"
    if key == "ece":  # percent: one sign for both
        return f"{100 * scores[key]:.1f}<small> ± {error_percent(wide)}</small>"
    return f"{show(scores[key])}<small> ± {number(wide)}</small>"


def _verdict(scores: Row, baseline: Row, key: str) -> tuple[str, str]:
    """The colour and the words of a score beside the baseline's."""
    sign = compare(scores, baseline, key)
    if sign is None:
        return "unknown", "no error is known"
    if sign == 0:
        return "same", NO_DIFFERENCE
    better = sign == (1 if key == "accuracy" else -1)
    return ("better", "the network is better") if better else ("worse", "the network is worse")


_DECODERS = {
    "votes": "votes (each compartment votes for the output neuron that spiked most)",
    "rates": "rates (the output spikes of all compartments, counted together)",
    "mixture": "mixture (how probable all compartments together found each class at each step, a memory’s length of "
    "steps counted as one)",
    "pooled": "pooled (how probable all compartments together found each class, averaged over time)",
    "likelihood": "likelihood (how probable each class’s output spikes are, given the hidden spikes)",
}


def _how_told(scores: Row) -> str:
    """The decoder, the temperatures and the baseline, in words."""
    baseline, used = scores.get("baseline") or {}, decoder(scores)
    name = baseline.get("name")
    text = f"Baseline: {escape(str(name))}." if name else "The run has no baseline."
    text += f" Decoder: {_DECODERS.get(used, escape(used))}."
    warm, other = ((row.get("tempered") or {}).get("temperature") for row in (scores, baseline))
    if is_number(warm):
        text += (
            " At temperature: with the logarithms of the probabilities divided by one number, which recordings kept "
            f"aside chose: {number(warm)}{f' (baseline: {number(other)})' if is_number(other) else ''}. It changes "
            "confidence and leaves the answers as they are."
        )
    count = scores.get("presentations")
    if count:
        text += (
            f" ± is one standard error over the {plural(count, 'recording')}. Better and worse, lower and higher are "
            "said beyond two errors of the difference; that of network and baseline is taken as if they had been asked "
            "about different recordings, which is cautious."
        )
    return text


def _costs(run: Run) -> str:
    costs = (run.scores or {}).get("costs")
    if not costs:
        return section("What it costs", "", missing("Costs were not measured."))
    spikes, scalars = costs.get("spikes_per_neuron_step") or {}, costs.get("scalars_per_step") or {}
    mute = costs.get("mute_hidden_neurons") or {}
    rows = [
        *((f"Spikes per step, {name} neuron", spikes.get(key)) for name, key in
          (("input", "inputs"), ("hidden", "hidden"), ("output", "visible"))),
        ("Hidden neurons that hardly ever spike", mute.get("quiet")),
        ("Hidden neurons that nearly always spike", mute.get("saturated")),
        ("Synaptic operations per step", costs.get("synaptic_operations_per_step")),
        ("Numbers sent up per step (evidence of the compartments)", scalars.get("up")),
        ("Numbers sent down per step (learning signals)", scalars.get("down")),
    ]  # fmt: skip
    bench = (run.scores or {}).get("neurobench") or {}
    rows += _answer_costs(bench)
    seconds = run.manifest.get("seconds") or {}
    rows += [(f"Time for {key}, in seconds", seconds[key]) for key in sorted(seconds)]
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{number(value)}</td></tr>\n' for name, value in rows
    )
    intro = (
        "A synaptic operation is one spike arriving at one synapse. On neuromorphic hardware, spikes and "
        "operations are what takes energy; a smaller number is a cheaper network."
    )
    if bench.get("energy_assumes"):
        intro += (
            " What an answer costs is told under NeuroBench’s measures (arXiv 2304.04640). Its energy is an estimate, "
            f"not a measurement: {escape(bench['energy_assumes'])}."
        )
    table = f'<div class="scroll"><table>\n{body}</table></div>\n'
    return section("What it costs", "", f'<div class="beside"><p class="intro">{intro}</p>\n{table}</div>\n')


def _answer_costs(bench: Row) -> list[tuple[str, float | None]]:
    """What one answer costs, where it was measured."""
    if not bench:
        return []
    joules, size = bench.get("energy_joules"), bench.get("footprint")
    operations = bench.get("synaptic_operations") or {}
    return [
        ("Additions of weights for one answer", operations.get("effective_acs")),
        ("Estimated energy of an answer, in microjoules", None if joules is None else joules * 1e6),
        ("Share of steps without a spike", bench.get("activation_sparsity")),
        ("Share of synapses that are absent", bench.get("connection_sparsity")),
        ("Memory of weights, filters and remembered spikes, in kB", None if size is None else size / 1000),
    ]


def _details(run: Run) -> str:
    manifest = json.dumps(run.manifest, indent=2, ensure_ascii=False, sort_keys=True)
    config = run.config_text or "(config.toml is missing)"
    body = (
        f"<details>\n<summary>Configuration</summary>\n<pre>{escape(config)}</pre>\n</details>\n"
        f"<details>\n<summary>Manifest: versions, seed, times</summary>\n<pre>{escape(manifest)}</pre>\n"
        "</details>\n"
    )
    return section("How to get this again", "", body)
