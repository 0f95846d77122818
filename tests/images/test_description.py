"""What a file says of itself, gathered over its frames and put in words."""

import numpy as np

from cher2.images.description import FrameKind, describe, description_lines, printable
from cher2.images.files import ImageFile
from cher2.images.frames import FrameInfo
from cher2.protocol import Protocol

NAMES = ("DAPI", "CK", "CD45", "HER2")
U16 = np.dtype(np.uint16)


class Told:
    """Frames of which only the descriptions are ever asked for."""

    format_name = "Told"

    def __init__(self, *infos):
        self.infos = infos

    def __len__(self):
        return len(self.infos)

    def info(self, number):
        return self.infos[number]


def described(tmp_path, *infos, **channels):
    file = ImageFile("a.x", (tmp_path / "a.x",))
    return describe(file, Told(*infos), Protocol.from_dict({"channels": channels} if channels else {}))


def words(said):
    return {line[2:15].strip(): line[15:] for line in description_lines(said)[1:]}


def test_everything_that_one_frame_tells(tmp_path):
    said = described(
        tmp_path, FrameInfo((4, 20, 30), U16, NAMES, 0.5, 12, (1.0, 2.0), (10.0, 20.0, None, 40.0), synthetic=True)
    )
    assert said.roles == {"dapi": 0, "ck": 1, "cd45": 2, "her2": 3}
    assert said.exposure_ms == ((10.0,), (20.0,), (), (40.0,))
    assert description_lines(said)[0] == "a.x"
    assert words(said) == {
        "format": "Told",
        "frames": "1 of 4 channels x 20 rows x 30 columns, uint16",
        "channels": "0 DAPI (dapi), 1 CK (ck), 2 CD45 (cd45), 3 HER2 (her2)",
        "pixel size": "0.5 um",
        "bits": "12",
        "exposure": "DAPI 10 ms, CK 20 ms, CD45 unsaid, HER2 40 ms",
        "stage (y, x)": "(1.0, 2.0) um",
        "synthetic": "yes: these images show no patient's cells",
    }


def test_what_the_file_does_not_say_is_said(tmp_path):
    said = described(tmp_path, FrameInfo((3, 20, 30), U16))
    assert said.roles == {}
    told = words(said)
    assert told["pixel size"] == "not in the file: the protocol's 0.64 um is used"
    assert told["bits"] == told["exposure"] == told["stage (y, x)"] == "not in the file"
    assert told["channels"] == "0 unnamed, 1 unnamed, 2 unnamed"
    assert 'no channel "DAPI" for the role dapi; it has 3 unnamed channels' in told["roles"]
    assert told["roles"].count("no channel") == 4


def test_many_frames_are_summed_up(tmp_path):
    infos = [
        FrameInfo((4, 20, 30), U16, NAMES, 0.5 if k else None, 12, (10.0 * k, -5.0 * k), (1.0, 2.0, 3.0, 4.0 + k % 2))
        for k in range(5)
    ]
    said = described(tmp_path, *infos, FrameInfo((4, 9, 9), np.dtype(np.uint8), NAMES, 0.25))
    assert said.kinds == (FrameKind(5, (4, 20, 30), "uint16"), FrameKind(1, (4, 9, 9), "uint8"))
    told = words(said)
    assert told["frames"].startswith("5 of 4 channels x 20 rows x 30 columns, uint16; 1 of 4 channels x 9 rows")
    assert told["pixel size"] == "0.25, 0.5 um; not of 1 frames: the protocol's 0.64 um is used"
    assert told["exposure"].endswith("HER2 4 or 5 ms")
    places = "(0.0, -0.0), (10.0, -5.0), (20.0, -10.0) ... um; y 0.0 to 40.0, x -20.0 to -0.0; of 5 frames only"
    assert told["stage (y, x)"] == places


def test_roles_may_be_numbers_and_her2_none(tmp_path):
    said = described(tmp_path, FrameInfo((3, 5, 5), U16), dapi=0, ck=2, cd45=7, her2="none")
    assert said.roles == {"dapi": 0, "ck": 2}
    assert len(said.missing) == 1
    assert words(said)["channels"] == "0 unnamed (dapi), 1 unnamed, 2 unnamed (ck)"


def test_one_file_a_channel_is_said(tmp_path):
    paths = tuple(tmp_path / f"a_{name}.jpg" for name in NAMES)
    info = FrameInfo((4, 5, 5), np.dtype(np.uint8), NAMES)
    said = describe(
        ImageFile("a", paths, NAMES), type("Set", (Told,), {"format_name": ""})(info), Protocol.from_dict({})
    )
    assert said.format == "4 files JPEG, one a channel"


def test_a_strangers_names_do_not_steer_the_terminal(tmp_path):
    said = described(tmp_path, FrameInfo((1, 5, 5), U16, ("\x1b[2Jµ\n",)))
    assert words(said)["channels"] == "0 \\x1b[2Jµ\\n"
    assert printable("a\udcff") == "a\\udcff"
