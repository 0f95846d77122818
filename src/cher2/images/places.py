"""Where images are: a folder or file on a disk, or in a store that is reached by URL.

A local place is a :class:`pathlib.Path`; one in a store is a :class:`upath.UPath`, which has the same manners (``/``,
``name``, ``parent``). The libraries of stores are imported when the first URL is met, and not before.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from cher2.errors import Cher2Error, ImageError

SCHEMES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "memory": "fsspec",
}
"""The beginnings of URLs that name images, and the library that reads each."""

S3_RETRIES = {"mode": "standard", "total_max_attempts": 3}
"""What botocore does by itself; s3fs tries again on top of it. Its own five would keep a dead address for 10 s."""

# What the stores' libraries raise beside OSError, by module; looked up only among the modules that are loaded.
_FAULTS = {
    "botocore.exceptions": "BotoCoreError",
    "aiohttp": "ClientError",
    "google.auth.exceptions": "GoogleAuthError",
    "gcsfs.retry": "HttpError",
}

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
_CREDENTIALS = (
    "Give credentials as the store's own tools take them (AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS ...): "
    "see docs/cloud.md"
)


def place(text: str | Path) -> Path:
    """Return a place given in words: a path, or a URL such as ``s3://bucket/images``.

    Parameters
    ----------
    text : str or Path
        A ``UPath`` is taken as it is, with the options that it was made with.

    Returns
    -------
    Path
        A :class:`pathlib.Path`; for a URL a ``UPath``, which is none by its type but serves as one.

    Raises
    ------
    ImageError
        The URL is of no kind that is read, or its library is not installed.
    """
    if is_remote(text):
        return cast(Path, text)
    match = _URL.match(str(text))
    if match is None:
        return Path(text)
    scheme = match["scheme"].lower()
    if scheme == "file":
        return Path(unquote(urlsplit(str(text)).path))
    if scheme not in SCHEMES:
        raise ImageError(
            f"URLs that begin with {scheme}:// are not read",
            where=shown(text),
            remedy=f"Name a folder, or a URL of {', '.join(SCHEMES)}",
        )
    return _in_store(scheme, scheme + str(text)[len(scheme) :])


def _in_store(scheme: str, url: str) -> Path:
    try:
        from fsspec.config import conf
        from upath import UPath

        options: dict[str, Any] = {}
        if SCHEMES[scheme] == "s3fs":
            # Listings are kept by nobody: a study that is run again must see what changed since.
            options = {"use_listings_cache": False}
            if "config_kwargs" not in conf.get("s3", {}):
                options["config_kwargs"] = {"retries": S3_RETRIES}
        found = UPath(url, **options)
        found.fs  # noqa: B018  asked for here: it is this that imports the store's library
    except ImportError as error:
        raise ImageError(
            f"{scheme}:// needs a library that is not installed ({error})",
            where=shown(url),
            remedy=f'pip install "cher2[cloud]" {SCHEMES[scheme]}',
        ) from error
    return cast(Path, found)


def is_remote(path: str | Path) -> bool:
    """Say whether a place is in a store and not on a disk."""
    return not isinstance(path, str) and getattr(path, "protocol", "") not in ("", "file", "local")


def in_store(path: Path) -> tuple[Any, str]:
    """Return the fsspec file system of a place in a store, and its path there.

    Raises
    ------
    ImageError
        The store's library is not installed, as it may happen on a worker elsewhere.
    """
    store: Any = path
    with reaching(path):
        return store.fs, store.path


def is_url(text: str) -> bool:
    """Say whether words are a URL, of any kind."""
    return _URL.match(text) is not None


def shown(path: str | Path) -> str:
    """Return a place as it may be printed and stored: a URL without query, user and password.

    Examples
    --------
    >>> shown("https://me:secret@host/a/b.tif?token=secret")
    'https://host/a/b.tif'
    """
    text = str(path)
    if not is_url(text):
        return text
    scheme, _, rest = text.partition("://")
    host, slash, tail = rest.partition("/")
    if scheme.lower().startswith("http"):
        # In an object's key these two are letters as any other.
        tail = re.split(r"[?#]", tail, maxsplit=1)[0]
        host = re.split(r"[?#]", host, maxsplit=1)[0]
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{tail}"


def within(base: Path, text: str) -> Path:
    """Return a place written relative to a folder; a URL is one by itself, and ``~`` begins at the user's home folder.

    Raises
    ------
    ImageError
        As :func:`place`.
    """
    if text.startswith("~/"):
        return Path(text).expanduser()
    return place(text) if is_url(text) else base / text


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Turn whatever a store's library raises into an error that says what to do.

    Raises
    ------
    ImageError
        Nothing is there, there are no credentials or rights, or the network failed again and again.
    """
    try:
        yield
    except _faults() as error:
        raise ImageError(_what(error), where=shown(path), remedy=_remedy(error)) from error


def _faults() -> tuple[type[Exception], ...]:
    loaded = (getattr(sys.modules[name], kind) for name, kind in _FAULTS.items() if name in sys.modules)
    return OSError, ValueError, ImportError, *loaded


def _what(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is nothing at this URL"
    # A library may repeat the whole URL, with a token in it.
    reason = re.sub(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\")]+", lambda url: shown(url[0]), " ".join(str(error).split()))
    return f"the store does not give it ({reason[:160] or type(error).__name__})"


def _remedy(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "Look for a misspelling; where the store hides what you may not see, give credentials"
    if isinstance(error, PermissionError) or "redential" in type(error).__name__ + str(error):
        return _CREDENTIALS
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "Make room on the disk, or name another for temporary files with TMPDIR"
    if isinstance(error, ImportError):
        return 'pip install "cher2[cloud]"'
    return "Look at the network and run the same command again: it goes on where it stopped"


def refuse_url(path: str | Path, what: str, kind: type[Cher2Error], remedy: str) -> None:
    """Refuse a URL where only a place on a disk will do; one slash of a URL is lost where it was made a Path."""
    if is_remote(path) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]", str(path)):
        raise kind(f"{what} cannot be a URL", where=shown(str(path)), remedy=remedy)
