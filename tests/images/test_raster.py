import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow

from cher2.errors import ImageError
from cher2.images.raster import single_plane
from cher2.images.reader import read_image

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (20, 30), dtype=np.uint8)
SMOOTH = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)


def save(path, pixels, **words):
    Pillow.fromarray(pixels).save(path, **words)
    return path


def test_grey_png_of_8_and_16_bit(tmp_path):
    image = read_image(save(tmp_path / "a.png", GREY))
    assert (image.pixels == GREY[None]).all()
    assert (image.pixels.dtype, image.channels, image.name) == (np.uint8, ("",), "a.png")
    deep = GREY.astype(np.uint16) * 257
    image = read_image(save(tmp_path / "b.png", deep))
    assert (image.pixels == deep[None]).all()
    assert image.pixels.dtype == np.dtype("=u2")


def test_colour_png_of_8_and_16_bit_without_its_transparency(tmp_path):
    pixels = RANDOM.integers(0, 65536, (5, 6, 4), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    image = read_image(tmp_path / "a.png")
    assert image.channels == ("R", "G", "B")
    assert (image.pixels == np.moveaxis(pixels[..., :3], -1, 0)).all()
    assert image.pixels.flags.c_contiguous
    image = read_image(save(tmp_path / "b.png", (pixels[..., :3] >> 8).astype(np.uint8)))
    assert (image.pixels == np.moveaxis(pixels[..., :3] >> 8, -1, 0)).all()


def test_palette_and_grey_with_transparency(tmp_path):
    colours = Pillow.fromarray(GREY).convert("P")
    colours.save(tmp_path / "p.png", transparency=0)
    assert (read_image(tmp_path / "p.png").pixels == GREY).all()
    assert read_image(tmp_path / "p.png").channels == ("R", "G", "B")
    Pillow.fromarray(GREY).convert("LA").save(tmp_path / "la.png")
    assert (read_image(tmp_path / "la.png").pixels == GREY[None]).all()


def test_a_mask_is_refused(tmp_path):
    with pytest.raises(ImageError, match="black and white: a mask"):
        read_image(save(tmp_path / "a.png", GREY > 9))


def test_what_libpng_says_of_other_chunks_is_not_logged(tmp_path, capfd, caplog):
    path = save(tmp_path / "a.png", GREY)
    data = path.read_bytes()
    wrong = b""
    for chunk in (b"pHYs" + bytes(3), b"iCCPx\0\0", b"PLTE" + bytes(3)):
        wrong += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:33] + wrong + data[33:])
    assert (read_image(path).pixels == GREY).all()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_jpeg_of_grey_and_colour(tmp_path):
    image = read_image(save(tmp_path / "a.jpg", SMOOTH, quality=95))
    assert np.abs(image.pixels[0].astype(int) - SMOOTH).max() <= 3
    colours = np.stack([SMOOTH, SMOOTH // 2, 255 - SMOOTH], -1)
    image = read_image(save(tmp_path / "b.jpg", colours, quality=95, subsampling=0))
    assert image.channels == ("R", "G", "B")
    assert np.abs(image.pixels.astype(int) - np.moveaxis(colours, -1, 0)).max() <= 6


def test_progressive_jpeg_and_bytes_after_its_end(tmp_path):
    path = save(tmp_path / "a.jpg", SMOOTH, quality=95, progressive=True)
    path.write_bytes(path.read_bytes() + b"trailing bytes")
    assert np.abs(read_image(path).pixels[0].astype(int) - SMOOTH).max() <= 3


def test_printers_colours_are_refused(tmp_path):
    Pillow.fromarray(GREY).convert("RGB").convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="4 colours a pixel"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("part", [0.02, 0.1, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_file_is_an_error(tmp_path, name, part):
    path = save(tmp_path / name, GREY)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(ImageError):
        read_image(path)


def test_a_png_with_one_wrong_byte_is_an_error(tmp_path):
    path = save(tmp_path / "a.png", GREY)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageError, match="cut or damaged"):
        read_image(path)


def test_a_claim_of_too_many_pixels_is_refused_before_decoding(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 16, 2, 0, 0, 0)
    chunks = (header, b"IDAT" + zlib.compress(bytes(100)), b"IEND")
    data = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(ImageError, match=r"2700000000 pixels in all channels, where up to 67108864"):
        read_image(tmp_path / "a.png")
    data = bytearray(save(tmp_path / "a.jpg", GREY).read_bytes())
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = struct.pack(">HH", 65_000, 65_000)
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ImageError, match="4225000000 pixels"):
        read_image(tmp_path / "a.jpg")


def saved_colours(tmp_path, colours, name="a.jpg"):
    return read_image(save(tmp_path / name, colours, **({"quality": 90} if name.endswith("jpg") else {})))


def test_grey_saved_as_colour_jpeg_is_one_plane(tmp_path):
    image = saved_colours(tmp_path, np.stack([SMOOTH] * 3, -1))
    plane = single_plane(image, "a.jpg")
    assert plane.dtype == np.uint8
    assert np.abs(plane.astype(int) - SMOOTH).max() <= 3


@pytest.mark.parametrize("brightness", [1.0, 0.1, 0.05])
def test_a_picture_of_one_colour_is_that_colour_however_faint(tmp_path, brightness):
    green = np.zeros((48, 64, 3), np.uint8)
    green[..., 1] = SMOOTH * brightness
    assert (single_plane(saved_colours(tmp_path, green, "a.png"), "a.png") == green[..., 1]).all()


def test_a_stained_jpeg_keeps_its_brightness(tmp_path):
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = SMOOTH
    plane = single_plane(saved_colours(tmp_path, red), "a.jpg")
    assert abs(plane.mean() - SMOOTH.mean()) < 2


@pytest.mark.parametrize("brightness", [1.0, 0.1])
def test_a_colour_picture_is_no_channel(tmp_path, brightness):
    colours = (np.stack([SMOOTH, SMOOTH // 2, SMOOTH // 3], -1) * brightness).astype(np.uint8)
    with pytest.raises(ImageError, match="is a colour picture"):
        single_plane(saved_colours(tmp_path, colours, "a.png"), "a.png")


def test_a_black_picture_is_black(tmp_path):
    image = saved_colours(tmp_path, np.zeros((8, 8, 3), np.uint8), "a.png")
    assert single_plane(image, "a.png").max() == 0


@pytest.mark.parametrize("fields", [(20, 30, 3, 0, 0, 0, 0), (20, 30, 8, 5, 0, 0, 0), (20, 30, 8, 0, 0, 0, 9)])
def test_a_header_that_no_png_has_is_refused_without_a_word(tmp_path, fields, capfd):
    """Found by benchmarks/fuzz.py: libpng printed warnings of depth, colour and interlacing on the terminal."""
    path = save(tmp_path / "a.png", GREY)
    data, header = path.read_bytes(), b"IHDR" + struct.pack(">IIBBBBB", *fields)
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    with pytest.raises(ImageError, match="header says what no PNG can"):
        read_image(path)
    assert capfd.readouterr() == ("", "")
