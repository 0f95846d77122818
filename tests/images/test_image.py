import numpy as np
import pytest

from cher2.errors import ChannelError
from cher2.images.image import Image
from cher2.protocol import Channels

NAMES = ("DAPI", "CK", "CD45", "HER2")


def frame(brightest=1000, dtype=np.uint16, **words):
    pixels = np.zeros((4, 3, 5), dtype)
    pixels += np.arange(4, dtype=dtype)[:, None, None]
    pixels[0, 0, 0] = brightest
    return Image(pixels, **{"channels": NAMES, **words})


def test_shape_is_rows_and_columns():
    assert frame().shape == (3, 5)


@pytest.mark.parametrize("shape", [(3, 5), (0, 3, 5), (4, 0, 5), (1, 4, 3, 5)])
def test_refuses_arrays_that_are_no_frame(shape):
    with pytest.raises(ChannelError, match="rows and columns"):
        Image(np.zeros(shape))


def test_refuses_names_that_do_not_fit_the_channels():
    with pytest.raises(ChannelError, match="4 channels but 2 channel names"):
        frame(channels=("DAPI", "CK"))


def test_unnamed_channels_have_empty_names():
    assert Image(np.zeros((2, 3, 3))).channels == ("", "")


def test_planes_are_found_by_name_without_regard_to_case():
    planes = frame(channels=("her2", "cd45", "ck", "dapi")).planes(Channels())
    assert {role: plane[2, 2] for role, plane in planes.items()} == {"dapi": 3, "ck": 2, "cd45": 1, "her2": 0}


def test_planes_are_found_by_number():
    assert frame().plane("her2", Channels(dapi=3, ck=2, cd45=1, her2=0))[2, 2] == 0


def test_a_missing_channel_is_named_with_those_there():
    with pytest.raises(ChannelError, match=r'no channel "HER2" for the role her2; it has DAPI, CK, CD45, PE\.'):
        frame(channels=("DAPI", "CK", "CD45", "PE")).channel_index("her2", Channels())


def test_a_number_beyond_the_channels_is_missing():
    with pytest.raises(ChannelError, match="no channel number 4"):
        frame().channel_index("her2", Channels(her2=4))


def test_two_channels_of_one_name_are_an_error():
    with pytest.raises(ChannelError, match=r"numbers 0 and 2.*channels.dapi = 0"):
        frame(channels=("DAPI", "CK", "dapi", "HER2")).channel_index("dapi", Channels())


@pytest.mark.parametrize(
    ("brightest", "bits", "saturation"),
    [(100, None, 255), (1023, None, 1023), (4095, None, 4095), (4096, None, 16383), (65535, None, 65535),
     (100, 12, 4095), (5000, 12, 16383)],
)  # fmt: skip
def test_saturation_is_the_cameras_highest_count(brightest, bits, saturation):
    assert frame(brightest, bits=bits).saturation == saturation


def test_saturation_of_floats_cannot_be_known():
    assert frame(dtype=np.float32).saturation == np.inf
