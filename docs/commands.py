"""Write docs/commands.md: every command with its arguments and options, from the command line itself.

``python docs/commands.py`` writes the page; ``tests/test_documentation.py`` holds that it is up to date.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from typer.main import get_command

from cher2.cli import app

WORDS = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}

PAGE = Path(__file__).with_name("commands.md")

START = """\
# Command line

Made from the command line itself by `python docs/commands.py`. `cher2 COMMAND --help` shows the same.

Exit 0: all done. 1: finished, but some images failed (`errors.csv` names them). 2: bad use or bad input, nothing
written. 130: stopped by Ctrl-C. `cher2 verify` and `cher2 info` use 1 and 2 in their own sense ([verify.md](verify.md),
[formats.md](formats.md)).
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(commands_page(), encoding="utf-8", newline="\n")
    print(PAGE)


def commands_page() -> str:
    """Return the page as Markdown."""
    group: Any = get_command(app)
    own = _options(group.params, {})
    return "\n".join([START, own, *(_section(name, command) for name, command in group.commands.items())])


def options_of_commands() -> dict[str, set[str]]:
    """Return each command's options, as they are spelt, by the command's name."""
    group: Any = get_command(app)
    found = {
        name: {word for param in command.params for word in param.opts} for name, command in group.commands.items()
    }
    return {**found, "": {word for param in group.params for word in param.opts}}


def _section(name: str, command: Any) -> str:
    hints = get_type_hints(_function(command))
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    usage = " ".join(["cher2", name, *(str(param.metavar) for param in arguments), "[OPTIONS]"])
    words = " ".join(inspect.cleandoc(command.help).split())
    rows = [(str(param.metavar), param.help) for param in arguments]
    options = _options((param for param in command.params if param not in arguments), hints)
    return "\n".join([f"## cher2 {name}\n", f"{words}\n", f"```\n{usage}\n```\n", _table("argument", rows), options])


def _function(command: Any) -> Any:
    """Return the function behind a command, whose annotations say what each option takes."""
    return inspect.unwrap(command.callback)


def _options(params: Iterable[Any], hints: dict[str, Any]) -> str:
    rows = []
    for param in params:
        names = ", ".join(sorted(param.opts, key=len))
        value = "" if param.is_flag else f" {param.metavar or _kind(hints[param.name])}"
        default = f" Default: `{param.default}`." if param.default not in (None, "", False) else ""
        rows.append((names + value, param.help + (" Required." if param.required else default)))
    return _table("option", rows)


def _kind(hint: Any) -> str:
    """Return what an option takes in words: its choices, or the kind of its value."""
    kinds = [kind for kind in get_args(hint) if kind is not types.NoneType] if _is_union(hint) else [hint]
    words = [" / ".join(get_args(kind)) if get_origin(kind) is Literal else WORDS[kind] for kind in kinds]
    return " / ".join(words)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _table(kind: str, rows: list[tuple[str, str]]) -> str:
    """Return a Markdown table; empty where there is nothing to list."""
    lines = [f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |" for name, meaning in rows]
    return "\n".join([f"| {kind} | meaning |", "| --- | --- |", *lines, ""]) if rows else ""


if __name__ == "__main__":
    main()
