"""A real Qt window for the tests of the napari plugin, and the synthetic sample.

The tests need a screen: `env -u QT_QPA_PLATFORM xvfb-run -a -s "-screen 0 1600x1200x24" pytest tests/napari`.
"""

import gc
import os
import sys
import tempfile
from pathlib import Path

import network_guard
import pytest

# napari's test fixture resets the settings; a developer's own must not be the ones.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

HOW = 'run: env -u QT_QPA_PLATFORM xvfb-run -a -s "-screen 0 1600x1200x24" pytest tests/napari'


@pytest.fixture(scope="session", autouse=True)
def screen():
    """Fail where there is no screen: a skipped test of the window would look like a passed one."""
    headless = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if headless or os.environ.get("QT_QPA_PLATFORM") in ("offscreen", "minimal"):
        pytest.fail(f"the tests of the napari plugin need a screen; {HOW}", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def window_loaded(screen):
    """Load the window once and leave it out of the search for garbage that napari makes with every viewer, twice."""
    import napari.qt  # noqa: F401

    gc.collect()
    gc.freeze()


REACHED = []
network_guard.install(REACHED.append)


@pytest.fixture(autouse=True)
def no_network():
    """See that no window, and nothing that napari does behind it, turns to another computer."""
    before = len(REACHED)
    yield
    assert REACHED[before:] == []


@pytest.fixture(scope="session")
def sample():
    from cher2.napari.samples import sample_study

    return sample_study()


@pytest.fixture
def sample_image(sample):
    import numpy as np

    from cher2.images.image import Image

    return Image(np.stack([pixels for pixels, _, _ in sample]), ("DAPI", "CK", "CD45", "HER2"), 0.64, "s", 12)


@pytest.fixture
def role_layers(sample):
    """The sample as napari layers by role, without a viewer."""
    import napari.layers

    return {
        settings["metadata"]["cher2"]["role"]: napari.layers.Image(pixels, **settings) for pixels, settings, _ in sample
    }


@pytest.fixture
def ome_file(tmp_path, sample_image):
    from cher2.simulate.ome import write_ome_tiff

    path = tmp_path / "frame_01.ome.tif"
    write_ome_tiff(path, sample_image.pixels, sample_image.channels, 0.64, 12)
    return path
