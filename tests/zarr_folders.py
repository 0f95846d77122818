"""Small OME-Zarr folders, written with zarr and ome-zarr, for tests of reading and of runs."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import zarr

with warnings.catch_warnings():
    # ome-zarr uses a class of its own that it calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image, write_plate_metadata, write_well_metadata

FORMATS = {2: FormatV04(), 3: FormatV05()}
UNITS = {"x": "micrometer", "y": "micrometer", "z": "micrometer", "t": "second"}
NAMES = ("DAPI", "CK", "CD45", "HER2")


def counts(*shape, seed=0):
    """Return pixels of a 12-bit camera, none of them zero."""
    return np.random.default_rng(seed).integers(1, 4096, shape, dtype=np.uint16)


def group(path, zarr_format):
    return zarr.open_group(path, mode="w", zarr_format=zarr_format)


def write(path, pixels, axes="cyx", zarr_format=3, size_um=0.5, chunks=32, names=NAMES, **options):
    """Write an image with ome-zarr's own writer, with a pyramid, and channel names where there is an axis c."""
    home = path if isinstance(path, zarr.Group) else group(path, zarr_format)
    write_image(
        pixels,
        home,
        axes=axes,
        axes_units={axis: UNITS[axis] for axis in axes if axis in UNITS},
        scale={axis: size_um if axis in "yx" else 1.0 for axis in axes},
        scale_factors=[2],
        storage_options={"chunks": tuple(chunks if axis in "yx" else 1 for axis in axes)} | options,
        fmt=FORMATS[zarr_format],
    )
    if "c" in axes:
        label = {"channels": [{"label": name, "color": "FFFFFF"} for name in names]}
        change_attributes(home.store.root / home.path, lambda ome: ome.update(omero=label))
    return path


def write_plate(path, wells, zarr_format=3, **options):
    """Write a plate: the pixels of the fields of each well, by the well's path."""
    home = group(path, zarr_format)
    rows, columns = (sorted({well.split("/")[k] for well in wells}) for k in (0, 1))
    write_plate_metadata(home, rows, columns, list(wells), fmt=FORMATS[zarr_format])
    for well, fields in wells.items():
        place = home.create_group(well)
        write_well_metadata(place, [str(k) for k in range(len(fields))], fmt=FORMATS[zarr_format])
        for k, pixels in enumerate(fields):
            write(place.create_group(str(k)), pixels, zarr_format=zarr_format, **options)
    return path


def document_of(path):
    return next(path / name for name in ("zarr.json", ".zattrs") if (path / name).exists())


def change_document(file, change):
    """Change a JSON document in place."""
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def change_attributes(path, change):
    """Change OME's attributes of a group, wherever the version keeps them."""
    change_document(document_of(path), lambda d: change(d["attributes"]["ome"] if "zarr_format" in d else d))


def array_of(path):
    """Return the document of the array of the full resolution."""
    return next(path / "s0" / name for name in ("zarr.json", ".zarray") if (path / "s0" / name).exists())


def chunk_files(path):
    """Return the files of chunks of the full resolution."""
    hidden = {"zarr.json", ".zarray", ".zattrs"}
    return sorted(file for file in (path / "s0").rglob("*") if file.is_file() and file.name not in hidden)


def without_chunk(path):
    chunk_files(path)[0].unlink()
    return path


def copy(source, target):
    shutil.copytree(source, target)
    return target
