"""Sound inputs for every reader, written anew: what is changed into hostile ones. All of it is synthetic."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "images"))

import imagecodecs
import numpy as np
import tifffile
from celltracks_export import event, write_export
from czi_fixture import tiles, write_czi
from lif_fixture import write_lif
from nd2_fixture import write_nd2
from zarr_folders import write, write_plate

from cher2.batch.run import run_study
from cher2.cells.segmented import segment_image
from cher2.images.reader import read_image
from cher2.protocol import example_toml
from cher2.review.decisions_csv import decisions_csv
from cher2.review.ledger import Ledger
from cher2.review.log import Bookmark
from cher2.review.open_log import open_log
from cher2.review.outline_frame import load_outlines
from cher2.review.outline_saving import save_correction
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study
from cher2.study.folder import Study, image_id

NAMES = ("DAPI", "CK", "CD45", "HER2")
PIXELS = np.random.default_rng(0).integers(0, 4096, (4, 24, 32), dtype=np.uint16)
COLOURS = np.ascontiguousarray(np.moveaxis(PIXELS[:3], 0, -1))
TIFFS = {
    "ome": {"ome": True, "metadata": {"axes": "CYX", "Channel": {"Name": list(NAMES)}, "PhysicalSizeX": 0.5}},
    "ome-tiles": {"ome": True, "metadata": {"axes": "CYX"}, "tile": (16, 16), "compression": "zlib"},
    "imagej": {"imagej": True, "metadata": {"axes": "CYX", "Labels": list(NAMES)}},
    "lzw": {"compression": "lzw"},
    "packbits": {"compression": "packbits"},
    "predictor": {"compression": "zlib", "predictor": True},
    "jpeg2000": {"compression": "jpeg2000"},
    "zstd": {"compression": "zstd"},
    "big": {"bigtiff": True, "byteorder": ">"},
    "planar": {"planarconfig": "separate", "metadata": None},
}
SETTINGS = StudySettings(
    patients=4,
    frames_per_patient=1,
    frame_shape=(160, 160),
    leukocytes_per_frame=12,
    ctcs_per_patient=7,
    specks_per_frame=2,
    debris_per_frame=0,
    compress=True,
    seed=1,
)


@dataclass(frozen=True)
class Sound:
    """A sound input: a folder's files, and which of them are changed, in the terms of which form.

    Parameters
    ----------
    name : str
        Which kind of its reader's inputs it is.
    files : mapping of str to bytes
        By their paths below the folder.
    targets : mapping of str to str
        The files that are changed, each with a form of :mod:`mutations`.
    """

    name: str
    files: Mapping[str, bytes] = field(repr=False)
    targets: Mapping[str, str] = field(repr=False)


def sound_inputs(folder: Path) -> dict[str, list[Sound]]:
    """Write every sound input below a folder and return them by reader."""
    folder.mkdir(parents=True, exist_ok=True)
    tiffs = {name: _tiff(folder / f"{name}.tif", how) for name, how in TIFFS.items()}
    rasters = {
        "png": imagecodecs.png_encode(PIXELS[0]),
        "png-colour": imagecodecs.png_encode(COLOURS),
        "jpeg": imagecodecs.jpeg8_encode((PIXELS[0] >> 4).astype(np.uint8)),
        "jpeg-colour": imagecodecs.jpeg8_encode((COLOURS >> 4).astype(np.uint8)),
    }
    study = _study(folder / "study")
    return {
        "tiff": [_file(name, "a.tif", data, "tiff") for name, data in tiffs.items()],
        "ome": [_file("stage", "a.tif", _ome(folder / "stage.tif"), "ome"), _file("ome", "a.tif", tiffs["ome"], "ome")],
        "raster": [_file(name, "a.png", bytes(data), name[:3]) for name, data in rasters.items()],
        "celltracks": [_celltracks(folder / "celltracks")],
        "omezarr": _zarrs(folder / "zarr"),
        **_vendors(folder),
        **_tables(folder, study),
        **_study_readers(study),
    }


def _file(name: str, path: str, data: bytes, form: str) -> Sound:
    return Sound(name, {path: data}, {path: form})


def _tiff(path: Path, how: dict[str, object]) -> bytes:
    tifffile.imwrite(path, PIXELS, **{"photometric": "minisblack", **how})
    return path.read_bytes()


def _ome(path: Path) -> bytes:
    """Return an OME-TIFF of two frames with all that cher2 reads: sizes, names, places, exposures."""
    plane = {"PositionX": [1.0] * 8, "PositionY": [2.0] * 8, "ExposureTime": [0.1] * 8, "ExposureTimeUnit": ["ms"] * 8}
    said = {
        "axes": "TCYX",
        "Channel": {"Name": list(NAMES)},
        "PhysicalSizeX": 0.64,
        "PhysicalSizeY": 0.64,
        "Plane": plane,
    }
    tifffile.imwrite(path, np.stack([PIXELS, PIXELS]), ome=True, photometric="minisblack", metadata=said)
    return path.read_bytes()


def _celltracks(folder: Path) -> Sound:
    events = [event(1, 2, (3, 40, 12, 50)), event(2, 1, (1, 1, 9, 9), "false")]
    write_export(folder, [PIXELS, PIXELS], (1, 2), events=events)
    files = _files(folder)
    return Sound("export", files, {path: "xml" if path.endswith(".xml") else "tiff" for path in files})


def _zarrs(folder: Path) -> list[Sound]:
    folder.mkdir()
    for number in (2, 3):
        write(folder / f"v{number}" / "a.zarr", PIXELS, zarr_format=number, chunks=16)
    write_plate(folder / "plate" / "a.zarr", {"A/1": [PIXELS[:, :16, :16]]}, chunks=16)
    found = []
    for home in sorted(folder.iterdir()):
        files = _files(home)
        targets = {path: "json" for path in files if path.endswith((".json", ".zarray", ".zattrs", ".zgroup"))}
        chunks = [path for path in files if path not in targets and "/s0/" in path][:2]
        found.append(Sound(home.name, files, targets | dict.fromkeys(chunks, "bytes")))
    return found


def _vendors(folder: Path) -> dict[str, list[Sound]]:
    frames, places = np.stack([PIXELS, PIXELS]), [(0, 0), (0, 30)]
    image = {
        "name": "R",
        "pixels": frames,
        "axes": "MCYX",
        "channels": NAMES,
        "dyes": NAMES,
        "bits": 12,
        "tiles": places,
    }
    write_nd2(folder / "a.nd2", frames, NAMES, loops=[("XY", [(0.0, 0.0), (9.0, 0.0)])], exposures=(1, 2, 3, 4))
    write_nd2(folder / "z.nd2", frames, NAMES, loops=[("T", 2)], zipped=True)
    write_lif(folder / "a.lif", [image])
    write_czi(folder / "a.czi", tiles(frames, places), NAMES, exposures=(1, 2, 3, 4))
    write_czi(folder / "z.czi", tiles(frames, places, packed=5), NAMES)
    names = {"nd2": ("a.nd2", "z.nd2"), "lif": ("a.lif",), "czi": ("a.czi", "z.czi")}
    return {
        maker: [_file(name, name, (folder / name).read_bytes(), maker) for name in own] for maker, own in names.items()
    }


def _study(folder: Path) -> Study:
    """Make a small study that was scored, compared, read by two readers, and has one corrected outline."""
    simulate_study(folder, SETTINGS)
    run_study(folder / "images", folder / "study", clinical=folder / "clinical.csv", workers=1)
    study = Study.open(folder / "study")
    image = study.samples["image"].iloc[0]
    outlines = load_outlines(study, image)
    after = outlines.labels.copy()
    after[2:12, 2:14] = after.max() + 1
    pixels = replace(read_image(folder / "images" / image), name=image)
    save_correction(outlines, after, segment_image(pixels, study.protocol), "Eva")
    with closing(open_log(study)) as log:
        ledger = Ledger(study)
        rows = range(min(4, len(ledger.cells)))
        for reader, grade in (("Ada", 1), ("Eva", 2)):
            log.append(
                [
                    ledger.decision_on(row, "grade", reader, ledger.machine(row), ("ctc", grade), reason="=x")
                    for row in rows
                ]
            )
        log.set_bookmark("Ada", Bookmark("patient", image, 1))
    return study


def _tables(folder: Path, study: Study) -> dict[str, list[Sound]]:
    """Return what users write themselves: protocol, sheets and tables."""
    image = study.samples["image"].iloc[0]
    first = study.objects_of(image).iloc[0]
    number, y_px, x_px = int(first["object_id"]), first["y_px"], first["x_px"]
    with closing(open_log(study)) as log:
        own = decisions_csv(log.entries()).encode()
    plain = f"image,object_id,grade,reader,reason,reading\n{image},{number},2+,Ada,dim,open\n{image},{number},0,Eva,,\n"
    placed = f"image,y_px,x_px,grade\n{image},{y_px},{x_px},3\n"
    sheet = "image,patient_id,sample_id,drawn_on,blood_ml\na.tif,P1,S1,2021-03-31,7.5\nb.tif,P1,S2,,\nc.tif,P2,,,\n"
    marks = [("1", "0", "", "1")[(k * k + k) % 4] for k in range(24)]
    clinical = "patient_id,liver,lung,bone,os_months,os_event,pfs_months,pfs_event,subtype,age\n" + "".join(
        f"P{k},{marks[k]},{marks[k + 5]},{k % 2},{3 + 7 * k % 31},{k % 3 % 2},{2 + k},{k % 2},{'ab'[k % 2]},{40 + k}\n"
        for k in range(12)
    )
    patients = "patient_id,group\n" + "".join(f"P{k},{'high' if k % 3 else 'low'}\n" for k in range(12))
    protocol = (
        example_toml() + '\n[[cohort.variables]]\ncolumn = "subtype"\nkind = "categorical"\nlevels = ["a", "b"]\n'
    )
    beside = {f"study/{path}": data for path, data in _files(study.path).items()}
    return {
        "protocol": [_file("toml", "protocol.toml", protocol.encode(), "toml")],
        "samples": [_file("sheet", "samples.csv", sheet.encode(), "csv")],
        "clinical": [
            Sound(
                "table", {"clinical.csv": clinical.encode(), "patients.csv": patients.encode()}, {"clinical.csv": "csv"}
            )
        ],
        "decisions": [
            Sound(name, {**beside, "decisions.csv": text}, {"decisions.csv": "csv"})
            for name, text in (("own", own), ("plain", plain.encode()), ("placed", placed.encode()))
        ],
    }


def _study_readers(study: Study) -> dict[str, list[Sound]]:
    """Return the study folder, with the files that each of its readers is about."""
    files, home = _files(study.path), image_id(study.samples["image"].iloc[0])
    results = f"images/{home}"
    edits = [path for path in files if path.startswith("edits/")]
    told = {"protocol.toml": "toml", "provenance.json": "json", "study_id": "bytes"}
    told |= dict.fromkeys(("samples.csv", "clinical.csv", "patients.csv", "cells.csv", "errors.csv"), "csv")
    targets = {
        "objects": {f"{results}/objects.parquet": "parquet"},
        "score": {f"{results}/score.json": "json"},
        "labels": {f"{results}/labels.tif": "tiff"},
        "outlines": dict.fromkeys(edits, "json"),
        "study": {path: form for path, form in told.items() if path in files},
        "reviews": {"reviews.sqlite": "sqlite"},
    }
    return {name: [Sound(name, files, some)] for name, some in targets.items()}


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
