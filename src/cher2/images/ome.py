"""The OME-XML of an OME-TIFF: which page of this very file is which channel of which frame.

Only pages of the file itself are ever named: a header that points into another file is an error, for a
frame's pixels must not come from a place that nobody gave. The XML of a stranger may hold a bomb of nested
entities; OME-XML has no use for a document type, so one that declares it is refused before it is parsed.

Source: OME data model 2016-06, https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from cher2.errors import ImageError
from cher2.images.layout import FrameLayout, length_um, pages_missing, square_pixel_um, z_stack
from cher2.images.library_faults import figures

SIMULATOR = "cher2 simulate"
"""The creator that synthetic images name."""

MAX_LETTERS = 2**23
"""Most letters of an OME header: those of 20,000 planes, each with its place and its time."""

MAX_TAGS = 2**17
"""Most tags of it, an element's beginning and its end counted each."""

_MILLISECONDS = {"s": 1e3, "ms": 1.0, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6, "cs": 10.0, "ds": 100.0, "min": 6e4}

_EXPORT = "Export the image again, as one OME-TIFF file"


@dataclass(frozen=True)
class OmeFile:
    """What the description is held against: the file's name, its pages, and their size and samples."""

    name: str
    pages: int
    shape: tuple[int, int]
    samples: int
    where: str

    def error(self, what: str) -> ImageError:
        """Return an error about this file's header."""
        return ImageError(what, where=self.where, remedy=_EXPORT)


@dataclass(frozen=True)
class OmeImage:
    """What OME-XML says of an image, wherever its pixels are.

    Parameters
    ----------
    channels, pixel_size_um, bits, synthetic
        As of :class:`~cher2.images.image.Image`; channels are empty where they are not told.
    positions_um : mapping of int to (float, float)
        Stage position (y, x) by time point.
    """

    channels: tuple[str, ...]
    pixel_size_um: float | None
    bits: int | None
    positions_um: Mapping[int, tuple[float, float]]
    synthetic: bool


@dataclass(frozen=True)
class _Series:
    """An Image element: its sizes, and the page of each plane by (channel, time)."""

    pixels: ElementTree.Element
    channels: int
    times: int
    pages: dict[tuple[int, int], int]


def ome_layout(xml: str, file: OmeFile) -> list[FrameLayout]:
    """Return the frames that an OME-XML description finds in a file: every time point of every series.

    Parameters
    ----------
    xml : str
        The description of the first page.
    file : OmeFile
        The file itself.

    Returns
    -------
    list of FrameLayout
        By series, then by time.

    Raises
    ------
    ImageError
        The XML is none, or its claims and the file's pages do not fit together.
    """
    root = _parse(xml, file)
    elements = [e for image in _children(root, "Image") for e in _children(image, "Pixels")]
    series = [s for e in elements if (s := _series(e, root.get("UUID", ""), file)) is not None]
    if not series:
        raise file.error("its OME header names no pixels in this file")
    if len({s.channels for s in series}) > 1:
        raise file.error("its OME series have different numbers of channels")
    declared = sum(s.channels * s.times for s in series)
    named = {page for s in series for page in s.pages.values()}
    if len(named) != declared or max(named) >= file.pages:
        raise pages_missing(declared, file.pages, file.where)
    synthetic = root.get("Creator", "").startswith(SIMULATOR)
    return [replace(frame, synthetic=synthetic) for s in series for frame in _frames(s, file)]


def ome_images(xml: str, where: str) -> list[OmeImage]:
    """Return what OME-XML says of each of its images, in their order, without a look at pixels.

    Parameters
    ----------
    xml : str
        A document of its own, beside an OME-Zarr.
    where : str
        The document, for errors.

    Raises
    ------
    ImageError
        It is no XML, or its numbers are none.
    """
    file = OmeFile("", 0, (0, 0), 1, where)
    root = _parse(xml, file)
    synthetic = root.get("Creator", "").startswith(SIMULATOR)
    pixels = [element for image in _children(root, "Image") for element in _children(image, "Pixels")]
    return [
        OmeImage(
            channels=_names(element),
            pixel_size_um=_pixel_size_um(element, where),
            bits=_number(element, "SignificantBits", 0, file) or None,
            positions_um={int(t): place for t, place in _positions(element).items() if t.isdecimal() and len(t) < 12},
            synthetic=synthetic,
        )
        for element in pixels
    ]


def _parse(xml: str, file: OmeFile) -> ElementTree.Element:
    if len(xml) > MAX_LETTERS:
        raise file.error(f"its OME header has {len(xml)} letters, where up to {MAX_LETTERS} are read")
    if (tags := xml.count("<")) > MAX_TAGS:
        raise file.error(f"its OME header has {tags} tags, where up to {MAX_TAGS} are read")
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise file.error("its OME header declares a document type, which OME-XML never does")
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise file.error(f"its OME header is not XML ({error})") from error


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    # Each schema version has its own namespace; the names have been the same in all.
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _series(pixels: ElementTree.Element, uuid: str, file: OmeFile) -> _Series | None:
    """Read one Pixels element; None where all its planes are in other files."""
    blocks = list(_children(pixels, "TiffData"))
    own = [block for block in blocks if _is_own(block, uuid, file)]
    if blocks and not own:
        return None
    if len(own) < len(blocks):
        # Which one is not told: what a file was once called may name a patient.
        raise file.error("its OME header has channels in another file")
    c, z, t, rows, columns = (_size(pixels, f"Size{axis}", file) for axis in "CZTYX")
    if z > 1:
        raise z_stack(z, file.where)
    if (rows, columns) != file.shape:
        raise file.error(
            f"its OME header says {rows} x {columns} pixels, its pages have {file.shape[0]} x {file.shape[1]}"
        )
    if c % file.samples:
        raise file.error(f"its OME header says {c} channels, but its pages have {file.samples} samples a pixel")
    c //= file.samples
    if c * t > file.pages:
        raise pages_missing(c * t, file.pages, file.where)
    return _Series(pixels, c, t, _planes(own, c, t, _channels_first(pixels), file))


def _size(pixels: ElementTree.Element, key: str, file: OmeFile) -> int:
    value = pixels.get(key, "")
    if not (value.isascii() and value.isdecimal() and len(value) < 12 and int(value) > 0):
        raise file.error(f'its OME header says {key}="{figures(value)}"')
    return int(value)


def _is_own(block: ElementTree.Element, uuid: str, file: OmeFile) -> bool:
    """Tell whether a TiffData block means this file: by UUID, which outlives a new name, or by name."""
    named = next(_children(block, "UUID"), None)
    if named is None:
        return True
    text = (named.text or "").strip()
    return bool(uuid and text == uuid) or named.get("FileName", file.name) == file.name


def _channels_first(pixels: ElementTree.Element) -> bool:
    order = pixels.get("DimensionOrder", "XYCZT")
    return order.find("C") < order.find("T")


def _planes(
    blocks: list[ElementTree.Element], c: int, t: int, channels_first: bool, file: OmeFile
) -> dict[tuple[int, int], int]:
    """Return the page of each (channel, time)."""
    pages: dict[tuple[int, int], int] = {}
    for block in blocks:
        first = _number(block, "FirstT", 0, file) * c + _number(block, "FirstC", 0, file)
        if not channels_first:
            first = _number(block, "FirstC", 0, file) * t + _number(block, "FirstT", 0, file)
        page = _number(block, "IFD", 0, file)
        count = _number(block, "PlaneCount", 1 if "IFD" in block.attrib else c * t - first, file)
        if first + count > c * t:
            raise file.error(f"its OME header has more planes than its {c} channels and {t} frames")
        for k in range(count):
            outer, inner = divmod(first + k, c if channels_first else t)
            pages[(inner, outer) if channels_first else (outer, inner)] = page + k
    if not blocks:
        fast = c if channels_first else t
        for k in range(c * t):
            outer, inner = divmod(k, fast)
            pages[(inner, outer) if channels_first else (outer, inner)] = k
    if len(pages) < c * t:
        raise pages_missing(c * t, len(pages), file.where)
    return pages


def _number(element: ElementTree.Element, key: str, default: int, file: OmeFile) -> int:
    value = element.get(key, str(default))
    if not (value.isascii() and value.isdecimal() and len(value) < 12):
        raise file.error(f'its OME header says {key}="{figures(value)}"')
    return int(value)


def _frames(series: _Series, file: OmeFile) -> Iterator[FrameLayout]:
    pixels = series.pixels
    names, size = _names(pixels), _pixel_size_um(pixels, file.where)
    bits = _number(pixels, "SignificantBits", 0, file) or None
    positions, exposures = _positions(pixels), _exposures(pixels)
    for t in range(series.times):
        pages = tuple(series.pages[c, t] for c in range(series.channels))
        fit = names if len(names) == len(pages) else ()
        times = tuple(exposures.get((str(c), str(t))) for c in range(len(pages)))
        exposed = times if file.samples == 1 and any(time is not None for time in times) else ()
        yield FrameLayout(pages, fit, size, bits, positions.get(str(t)), exposure_ms=exposed)


def _names(pixels: ElementTree.Element) -> tuple[str, ...]:
    return tuple(channel.get("Name", "") for channel in _children(pixels, "Channel"))


def _pixel_size_um(pixels: ElementTree.Element, where: str) -> float | None:
    sides = [length_um(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "XY"]
    return square_pixel_um(sides[0], sides[1], where)


def _positions(pixels: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """Return the stage position (y, x) in micrometres by time point, of the first channel that tells it."""
    found: dict[str, tuple[float, float]] = {}
    for plane in _children(pixels, "Plane"):
        # Without a unit a position is in "reference frame" units, which are no length.
        y, x = (length_um(plane.get(f"Position{a}"), plane.get(f"Position{a}Unit", "reference frame")) for a in "YX")
        if y is not None and x is not None and math.isfinite(x + y):
            found.setdefault(plane.get("TheT", "0"), (y, x))
    return found


def _exposures(pixels: ElementTree.Element) -> dict[tuple[str, str], float]:
    """Return exposure times in milliseconds by channel and time point, where they are positive numbers."""
    found: dict[tuple[str, str], float] = {}
    for plane in _children(pixels, "Plane"):
        factor = _MILLISECONDS.get(plane.get("ExposureTimeUnit", "s"))
        try:
            time = float(plane.get("ExposureTime", "")) * (factor or math.nan)
        except ValueError:
            continue
        if 0 < time < math.inf:
            found.setdefault((plane.get("TheC", "0"), plane.get("TheT", "0")), time)
    return found
