"""``gemsnn completion``: a script by which a shell completes commands, flags, their values, and files.

It is written once from all flags, with what each takes. The shell asks nobody when it completes: starting Python and
torch at every key would take seconds.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import tyro

from gemsnn.commands import flags
from gemsnn.commands.flags import Flag, Listing
from gemsnn.data.datasets import NAMES

Shell = Literal["bash", "zsh", "fish"]

WITHIN = {"reproduce": ("k-sweep", "real"), "completion": get_args(Shell)}
"""What stands after a command in place of a run or a file."""


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("completion", completion, words)


def completion(shell: tyro.conf.Positional[Shell]) -> int:
    """Print a script by which a shell completes commands, flags, their values, and files.

    bash reads it from ~/.local/share/bash-completion/completions/gemsnn, fish from
    ~/.config/fish/completions/gemsnn.fish, and zsh where ~/.zshrc sources it after compinit. Write it anew after an
    update of gemsnn.

    Args:
        shell: the shell that is to read it.
    """
    from gemsnn.commands.cli import COMMANDS

    found = {name: _flags(name) for name in COMMANDS}
    print(_fish(found, COMMANDS) if shell == "fish" else _bash(found, shell))
    return 0


def _flags(name: str) -> tuple[Flag, ...]:
    """The flags of a command, those of all that may stand after it."""
    module, every = importlib.import_module(f"gemsnn.commands.{name}"), {}
    for first in WITHIN.get(name, ("",)):
        asked = Listing([first])
        module.bind(asked)
        every |= {flag.word: flag for flag in asked.flags}
    named = {"--data": NAMES}
    return tuple(
        flag._replace(takes="word", values=named[flag.word]) if flag.word in named else flag
        for flag in every.values()
    )


_BASH = """\
# {shell} completion of gemsnn, written by gemsnn completion {shell}
{before}_gemsnn() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" flags= values= files=
    if [[ "$cur" == "=" ]]; then cur=
    elif [[ "$prev" == "=" ]]; then prev="${{COMP_WORDS[COMP_CWORD-2]}}"
    fi
    if [[ "$COMP_CWORD" -eq 1 ]]; then values={commands}
    else
        case "${{COMP_WORDS[1]}}" in
{by_command}
        esac
        case "${{COMP_WORDS[1]}} $prev" in
{by_flag}
            *) if [[ "$cur" == -* ]]; then values="$flags"; else files=1; fi ;;
        esac
    fi
    local IFS=$' \\t\\n'
    COMPREPLY=( $(compgen -W "$values" -- "$cur") )
    if [[ -n "$files" ]]; then
        IFS=$'\\n'
        COMPREPLY+=( $(compgen -f -- "$cur") )
        compopt -o filenames 2>/dev/null
    fi
    return 0
}}
complete -F _gemsnn gemsnn"""

_BEFORE_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def _bash(found: Mapping[str, Sequence[Flag]], shell: Shell) -> str:
    """A script of bash, which zsh reads as well."""
    by_command, by_flag = [], []
    for name, every in found.items():
        words = " ".join((*(flag.word for flag in every), "--help", "--help-all"))
        within = f" values={shlex.quote(' '.join(WITHIN[name]))}" if name in WITHIN else ""
        by_command.append(f"            {name}) flags={shlex.quote(words)}{within} ;;")
        for flag in every:
            if flag.takes != "nothing":
                files = " files=1" if flag.takes == "file" else ""
                answer = f"values={shlex.quote(' '.join(flag.values))}{files}"
                by_flag.append(f"            {shlex.quote(f'{name} {flag.word}')}) {answer} ;;")
    return _BASH.format(
        shell=shell,
        before=_BEFORE_ZSH if shell == "zsh" else "",
        commands=shlex.quote(" ".join((*found, "--help", "--version"))),
        by_command="\n".join(by_command),
        by_flag="\n".join(by_flag),
    )


def _fish(found: Mapping[str, Sequence[Flag]], commands: Mapping[str, str]) -> str:
    """A script of fish, which shows what each flag is."""
    lines = ["# fish completion of gemsnn, written by gemsnn completion fish", "complete -c gemsnn -e"]
    for name, about in commands.items():
        start = f"complete -c gemsnn -n __fish_use_subcommand -f -a {name}"
        lines.append(f"{start} -d {_fished(about)}")
        inside = f"complete -c gemsnn -n '__fish_seen_subcommand_from {name}'"
        if name in WITHIN:
            lines.append(f"{inside} -a {_fished(' '.join(WITHIN[name]))}")
        for flag in found[name]:
            values = f" -a {_fished(' '.join(flag.values))}" if flag.values else ""
            takes = {"nothing": "", "file": " -r -F", "word": " -x"}[flag.takes]
            lines.append(f"{inside} -l {flag.word[2:]}{takes}{values} -d {_fished(flag.about)}")
    return "\n".join(lines)


def _fished(text: str) -> str:
    """A word of fish: within single quotes it knows two escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
