"""The command line: find the command, load what it needs, call it, and turn what goes wrong into an exit code."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import platform
import shutil
import sys
import textwrap
import warnings
from collections.abc import Sequence

import gemsnn
from gemsnn.errors import INTERRUPTED, LOST, REFUSED, InputError, LostError
from gemsnn.machine import places

COMMANDS = {
    "train": "Train a network, score it on the test part and write a report.",
    "federate": "Train by devices that learn on recordings of their own and average their weights.",
    "evaluate": "Score a trained network.",
    "certify": "Fit limits that keep a promise: sets of classes, and answers before the end of a recording.",
    "predict": "Answer files of events: a row of CSV or Parquet for each recording.",
    "stream": "Run a trained network on events as they come, a line of JSON an answer.",
    "serve": "Serve a trained network: a page to draw before it, and an API.",
    "export": "Write a trained network as a graph that other libraries read (NIR).",
    "info": "Say what a file of events or images holds.",
    "report": "Write the report of a run folder anew.",
    "bench": "Measure time and memory of the kernels, against the reference and this machine's matrix products.",
    "completion": "Print a script by which bash, zsh or fish completes commands, flags, their values and files.",
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
        return LOST if isinstance(error, LostError) else REFUSED
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
    """Show the commands, without the library that shows flags, whose loading would take most of the time."""
    width, wide = shutil.get_terminal_size().columns, max(map(len, COMMANDS)) + 4
    about = (gemsnn.__doc__ or "").splitlines()[0]
    print(f"usage: gemsnn COMMAND [flags]\n\n{textwrap.fill(about, width)}\n\ncommands:")
    for name, what in COMMANDS.items():
        print(textwrap.fill(what, width, initial_indent=f"  {name:{wide - 2}}", subsequent_indent=" " * wide))
    print(
        "\ngemsnn COMMAND --help tells a command's flags, gemsnn --version the version.\n"
        "gemsnn completion SHELL lets bash, zsh or fish complete all of them."
    )
    return 0
