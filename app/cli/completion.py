"""`gatewayz completion bash | zsh | fish`: prints a completion script, generated from the parser."""

import argparse
from collections.abc import Iterator
from typing import Final

import msgspec

PROGRAM: Final = "gatewayz"
SHELLS: Final = ("bash", "zsh", "fish")


class _Level(msgspec.Struct, frozen=True):
    """What may follow one command: `words` are its parents and itself; commands and options with their help."""

    words: tuple[str, ...]
    commands: dict[str, str]
    options: dict[str, str]
    files: tuple[str, ...]


def add_completion_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `completion` with its one argument."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes commands and options in a shell",
        description=f"In bash: source <({PROGRAM} completion bash). In zsh: source <({PROGRAM} completion zsh)."
        f" In fish: {PROGRAM} completion fish | source.",
    )
    parser.add_argument("shell", choices=SHELLS)


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script of one shell for the whole command line of `parser`."""
    levels = list(_levels(parser, (PROGRAM,)))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](levels)


def _levels(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[_Level]:
    commands: dict[str, str] = {}
    options: dict[str, str] = {}
    files: list[str] = []
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001  argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  likewise
            below |= action.choices
            commands |= {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001  likewise
        elif action.option_strings:
            options[action.option_strings[-1]] = action.help or ""
            files += action.option_strings if action.metavar == "FILE" else []
        elif action.choices is not None:
            commands |= {str(each): "" for each in action.choices}
    yield _Level(words, commands, options, tuple(files))
    for name, each in below.items():
        yield from _levels(each, (*words, name))


def _steps(levels: list[_Level]) -> str:
    """Return the shell pattern of all paths below the program, each from its parent by one word."""
    return "|".join(f'"{" ".join(level.words)}"' for level in levels if len(level.words) > 1)


def _bash(levels: list[_Level]) -> str:
    cases = "\n".join(
        f'        "{" ".join(level.words)}") choices="{" ".join((*level.commands, *level.options))}" ;;'
        for level in levels
    )
    return f"""_{PROGRAM}() {{
    local word choices="" at="{PROGRAM}"
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$at $word" in
            {_steps(levels)}) at="$at $word" ;;
        esac
    done
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
        {"|".join(sorted({name for level in levels for name in level.files}))}) return ;;
    esac
    case "$at" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$choices" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _{PROGRAM} {PROGRAM}
"""


def _zsh(levels: list[_Level]) -> str:
    cases = "\n".join(
        f'        "{" ".join(level.words)}") choices=({" ".join(_zsh_choice(*each) for each in _choices(level))}) ;;'
        for level in levels
    )
    return f"""#compdef {PROGRAM}
_{PROGRAM}() {{
    local word at="{PROGRAM}"
    local -a choices
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in
            {_steps(levels)}) at="$at $word" ;;
        esac
    done
    case "$words[CURRENT-1]" in
        {"|".join(sorted({name for level in levels for name in level.files}))}) _files; return ;;
    esac
    case "$at" in
{cases}
    esac
    _describe '{PROGRAM}' choices
}}
if [ "$funcstack[1]" = "_{PROGRAM}" ]; then
    _{PROGRAM} "$@"
else
    compdef _{PROGRAM} {PROGRAM}
fi
"""


def _zsh_choice(name: str, text: str) -> str:
    return _quoted(f"{name}:{text}" if text else name)


def _fish(levels: list[_Level]) -> str:
    lines = [f"complete -c {PROGRAM} -f"]
    for level in levels:
        seen = [f"__fish_seen_subcommand_from {word}" for word in level.words[1:]]
        if level.commands and seen:
            seen.append(f"not __fish_seen_subcommand_from {' '.join(level.commands)}")
        condition = _quoted("; and ".join(seen) or "__fish_use_subcommand")
        for name, text in level.commands.items():
            lines.append(f"complete -c {PROGRAM} -n {condition} -a {name} -d {_quoted(text)}")
        for name, text in level.options.items():
            files = " -rF" if name in level.files else ""
            lines.append(f"complete -c {PROGRAM} -n {condition} -l {name.removeprefix('--')}{files} -d {_quoted(text)}")
    return "\n".join(lines) + "\n"


def _choices(level: _Level) -> Iterator[tuple[str, str]]:
    yield from level.commands.items()
    yield from level.options.items()


def _quoted(text: str) -> str:
    """Return text in single quotes, as all three shells read it."""
    return "'" + text.replace("\\", "").replace("'", "'\\''").replace("%%", "%") + "'"
