"""The command line: find the command, load what it needs, call it, and turn what goes wrong into an exit code."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence

from gemsnn.errors import INTERRUPTED, REFUSED, InputError
from gemsnn.machine import places

COMMANDS = {
    "train": "Train a network, score it on the test part and write a report.",
    "evaluate": "Score a trained network.",
    "certify": "Fit limits that keep a promise: sets of classes, and answers before the end of a recording.",
    "predict": "Answer files of events: a line of CSV a recording.",
    "stream": "Run a trained network on events as they come, a line of JSON an answer.",
    "serve": "Serve a trained network: a page to draw before it, and an API.",
    "export": "Write a trained network as a graph that other libraries read (NIR).",
    "info": "Say what a file of events or images holds.",
    "report": "Write the report of a run folder anew.",
    "bench": "Measure time and memory of the kernels, against the reference and this machine's matrix products.",
    "reproduce": "Run an experiment of the paper: train with K compartments, answer with K_I, over several seeds.",
}
"""The commands, each a module of this name in :mod:`gemsnn.commands`, and the first lines of their help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    usual, warnings.formatwarning = warnings.formatwarning, _note
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # hours of work shall not end at a letter
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
    finally:
        warnings.formatwarning = usual


def _note(message: Warning | str, *_: object, **__: object) -> str:
    """A warning as a person is told it: without the line of code."""
    return f"gemsnn: note: {message}\n"


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else ""
    if first in COMMANDS:
        places.for_matplotlib()
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded: see docs/kernels.md
        return importlib.import_module(f"gemsnn.commands.{first}").bind(words[1:])()
    if first in ("-h", "--help"):
        return _help()
    if first == "--version":
        print(version())
        return 0
    if first.startswith("-"):
        raise InputError(f"a command comes first, one of {', '.join(COMMANDS)}; see gemsnn --help")
    if not first:
        raise InputError(f"give a command, one of {', '.join(COMMANDS)}; see gemsnn --help")
    near = difflib.get_close_matches(first, COMMANDS, n=1)
    meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(COMMANDS)}"
    raise InputError(f"there is no command {first!r}{meant}")


def version() -> str:
    """The version of gemsnn and that of Python."""
    from importlib import metadata

    return f"gemsnn {metadata.version('gemsnn')}, Python {platform.python_version()}"


def _help() -> int:
    """Show the commands."""
    import tyro  # half of the time that the list of commands takes

    tyro.extras.subcommand_cli_from_dict(
        {name: _named(name) for name in COMMANDS},
        prog="gemsnn",
        description="Probabilistic spiking neural networks for events: local three-factor learning, and answers that "
        "come as votes. "
        "gemsnn --version tells the version; gemsnn COMMAND --help tells a command's flags.",
        args=["--help"],
    )
    return 0


def _named(name: str) -> Callable[[], int]:
    """A command that is only named, for the list of commands."""

    def command() -> int:
        raise AssertionError(f"{name} was not loaded")

    command.__doc__ = COMMANDS[name]
    return command
