"""The command line: find the command, load what it needs, call it, and turn what goes wrong into an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from gemsnn.errors import INTERRUPTED, REFUSED, InputError

COMMANDS = {
    "train": "Train a network, score it on the test part and write a report.",
    "evaluate": "Score a trained network.",
    "stream": "Run a trained network on events as they come, a line of JSON an answer.",
    "info": "Say what a file of events or images holds.",
    "report": "Write the report of a run folder anew.",
    "bench": "Measure time and memory of the kernels, against the reference and this machine's matrix products.",
    "reproduce": "Run an experiment of the paper: train with K compartments, answer with K_I, over several seeds.",
}
"""The commands, each a module of this name in :mod:`gemsnn.commands`, and the first lines of their help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except InputError as error:
        print(f"gemsnn: {error}", file=sys.stderr)
        return REFUSED
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"gemsnn: {error.strerror or error}{where}; what was written before is whole", file=sys.stderr)
        return REFUSED
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(
            error
        ):  # torch has no type for it
            raise
        print("gemsnn: this needs more memory than there is; take fewer or smaller parts", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("gemsnn: stopped", file=sys.stderr)
        return INTERRUPTED


def _dispatch(words: list[str]) -> int:
    import tyro  # half of the time that the list of commands takes

    commands = {name: _named(name) for name in COMMANDS}
    if words and words[0] in commands:
        module = importlib.import_module(f"gemsnn.commands.{words[0]}")
        commands[words[0]] = module.make(words[1:])
    return tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="gemsnn",
        description="Probabilistic spiking neural networks that learn online and know what they do not know.",
        args=words,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )


def _named(name: str) -> Callable[[], int]:
    """A command that is only named, for the list of commands."""

    def command() -> int:
        raise AssertionError(f"{name} was not loaded")

    command.__doc__ = COMMANDS[name]
    return command
