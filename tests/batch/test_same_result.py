"""The same images give the same bytes, wherever they are scored and in whichever order."""

from __future__ import annotations

import shutil

import dask
import numpy as np
import pytest
import tifffile
from distributed import LocalCluster

from cher2.batch.local_workers import METHOD
from cher2.batch.run import run_study


@pytest.fixture(scope="module")
def images(synthetic, tmp_path_factory):
    """Return a folder of eleven files of six patients; one file holds two frames."""
    folder = tmp_path_factory.mktemp("same") / "images"
    for number in range(1, 7):
        shutil.copytree(synthetic / "images" / f"P{number:02d}", folder / f"P{number:02d}")
    for path in sorted(folder.rglob("*.tif"))[:4]:
        shutil.copyfile(path, path.with_name(f"again_{path.name}"))
    pixels = [tifffile.imread(path) for path in sorted(folder.rglob("*.tif"))[-2:]]
    names = {"axes": "TCYX", "Channel": {"Name": ["DAPI", "CK", "CD45", "HER2"]}}
    names |= {"PhysicalSizeX": 0.64, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.64, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(folder / "P02" / "stack.ome.tif", np.stack(pixels), metadata=names, ome=True)
    return folder


@pytest.fixture(scope="module")
def serial(images, tmp_path_factory):
    home = tmp_path_factory.mktemp("serial") / "study"
    result = run_study(images, home, workers=1)
    assert result.failed.empty
    assert "P02/stack.ome.tif#2" in set(result.study.samples["image"])
    return home


def test_two_processes(images, serial, tmp_path, results_of):
    run_study(images, tmp_path / "study", workers=2)
    assert results_of(tmp_path / "study") == results_of(serial)


def test_a_scheduler_with_four_workers(images, serial, tmp_path, results_of):
    options = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
    quickly = {"distributed.worker.multiprocessing-method": METHOD}
    with dask.config.set(quickly), LocalCluster(n_workers=4, threads_per_worker=1, **options) as cluster:
        run_study(images, tmp_path / "study", scheduler=cluster.scheduler_address)
    assert results_of(tmp_path / "study") == results_of(serial)


def test_another_order_of_the_files(images, serial, tmp_path, results_of, monkeypatch):
    from cher2.batch import run

    class Reversed(run._Scoring):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.tasks.reverse()

    monkeypatch.setattr(run, "_Scoring", Reversed)
    done = []
    run_study(images, tmp_path / "study", workers=1, progress=done.append)
    assert done[1].last.startswith("P06/")
    assert results_of(tmp_path / "study") == results_of(serial)
