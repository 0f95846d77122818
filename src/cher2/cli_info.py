"""The commands that only look: at image files, and at this computer; :mod:`cher2.cli` makes them commands.

``info`` ends with 0 where all files were read, 1 where some were not, 2 where none was; ``doctor`` with 0 where cher2
has all that it needs, else 1.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cher2.errors import Cher2Error

if TYPE_CHECKING:
    from cher2.images.description import FileDescription
    from cher2.images.files import ImageFile
    from cher2.protocol import Protocol

FOLDERS_SHOWN = 10


def info(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Images, folders of them, or frame01_{channel}.jpg.")
    ],
    protocol: Annotated[
        Path | None, typer.Option(metavar="F", help="Protocol (TOML) whose channels are looked for.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Show what image files say: frames, channels, pixel size, exposures, stage positions."""
    from cher2.protocol import Protocol

    rules = Protocol.load(protocol) if protocol is not None else Protocol.from_dict({})
    found: list[dict[str, Any]] = []
    for path in files:
        try:
            found.append(_folder(path, rules, as_json) if path.is_dir() else _file(path, rules, as_json))
        except Cher2Error as error:
            found.append({"name": str(path), "error": str(error)})
            print(f"Error: {error}", file=sys.stderr)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    failed = sum("error" in entry for entry in found)
    if failed:
        raise typer.Exit(2 if failed == len(found) else 1)


def _file(path: Path, protocol: Protocol, as_json: bool) -> dict[str, Any]:
    """Describe a file; print it as lines unless JSON is wanted."""
    from cher2.images.description import description_lines
    from cher2.images.files import ImageFile, channel_files

    file = channel_files(path, protocol) if "{channel}" in path.name else ImageFile(str(path), (path,))
    said = _described(file, protocol)
    if not as_json:
        print("\n".join(description_lines(said)))
    return asdict(said)


def _described(file: ImageFile, protocol: Protocol) -> FileDescription:
    from cher2.images.description import describe
    from cher2.images.reader import open_frames

    with open_frames(file, protocol) as frames:
        return describe(file, frames, protocol)


def _folder(path: Path, protocol: Protocol, as_json: bool) -> dict[str, Any]:
    """Count a folder's images by ending and by first folder, and describe the first of them."""
    from cher2.images.description import description_lines, printable
    from cher2.images.file_patterns import pattern_of
    from cher2.images.files import find_image_files

    images = find_image_files(path, protocol)
    endings = Counter(image.paths[0].suffix.lower() for image in images)
    folders = Counter(image.name.partition("/")[0] if "/" in image.name else "." for image in images)
    pattern = pattern_of(images, protocol)
    if not as_json:
        print(f"{printable(str(path))}: {_counted(len(images), 'image')}")
        print(f"  endings      {', '.join(f'{count} {ending}' for ending, count in endings.most_common())}")
        shown = [f"{printable(name)} {count}" for name, count in list(folders.items())[:FOLDERS_SHOWN]]
        more = len(folders) - len(shown)
        print(f"  folders      {', '.join(shown)}" + (f" and {more} more" if more else ""))
        if pattern:
            print("  pattern      the files seem to hold one channel each: set the protocol's [image] to")
            print(f'               file_pattern = "{pattern}"')
        print("The first of them:")
    said = _described(images[0], protocol)
    if not as_json:
        print("\n".join(description_lines(said)))
    counts = {"images": len(images), "endings": dict(endings), "folders": dict(folders), "file_pattern": pattern}
    return {"name": str(path), **counts, "first": asdict(said)}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Say what is installed, which window and computer this is, and what to do about what is missing."""
    from cher2.doctor.diagnosis import diagnose

    found = diagnose()
    print(json.dumps(found.as_dict(), indent=1) if as_json else found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)
