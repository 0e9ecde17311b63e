"""What a user is told when something cannot be used, and the exit codes that go with it."""

from __future__ import annotations

REFUSED = 2
"""Exit code after bad input."""

LOST = 75
"""Exit code of a worker that has lost another one: it is that one which tells why."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""

LONGEST_MESSAGE = 900


def one_line(text: object) -> str:
    """Text that may come from a file, made fit for a message: one line, printable, its middle left out if long."""
    line = "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in str(text)
    )
    if len(line) <= LONGEST_MESSAGE:
        return line
    return f"{line[: 2 * LONGEST_MESSAGE // 3]} .. {line[-LONGEST_MESSAGE // 3 + 4 :]}"


class InputError(Exception):
    """Something a user gave cannot be used.

    The message is one sentence that says what is wrong, where, and what to do;
    the command line prints it and ends with exit code 2.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message))


class DivergedError(InputError):
    """Learning has made weights that are no longer finite, by settings that may fit all that is told of them."""


class LostError(InputError):
    """Another worker is gone, so that this one cannot go on."""


class InputValueError(InputError, ValueError):
    """The same where the conventions of another library want a ``ValueError``, as those of scikit-learn do."""
