"""The sample data that napari offers: a synthetic frame, drawn when it is asked for."""

from __future__ import annotations

from cher2.images.image import Image
from cher2.napari.reader import LayerData, channel_layers
from cher2.simulate import optics
from cher2.simulate.cells import populate_frame
from cher2.simulate.frame import simulate_frame
from cher2.simulate.patients import frame_stream, instrument_stream
from cher2.simulate.settings import StudySettings

SETTINGS = StudySettings(patients=1, frames_per_patient=1, frame_shape=(640, 860), leukocytes_per_frame=70, seed=2021)
"""A frame of half the usual sides: it is there within a second."""

GRADES = (0,) * 4 + (1,) * 2 + (2,) * 6 + (3,) * 10
"""The grades of the frame's CTCs: each is to be seen, and the ratio, 16 of 18, is clearly high."""


def sample_study() -> list[LayerData]:
    """Return the layers of a synthetic frame, the same at every call."""
    rng = frame_stream(SETTINGS, 0, 0)
    light = optics.illumination(instrument_stream(SETTINGS), SETTINGS.frame_shape, SETTINGS.illumination_falloff)
    frame = simulate_frame(SETTINGS, populate_frame(SETTINGS, GRADES, rng), rng, illumination=light)
    image = Image(
        frame.pixels, optics.CHANNELS, SETTINGS.pixel_size_um, "synthetic patient, frame 1", optics.BITS, synthetic=True
    )
    return channel_layers(image, list(image.pixels))
