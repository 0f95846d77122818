"""Images in a store, from a real S3 server and a real HTTP server: the same pixels, few requests, clear errors."""

from __future__ import annotations

import http.server
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from upath import UPath

from cher2.errors import ChannelError, Cher2Error, ImageError
from cher2.images.files import ImageFile, find_image_files
from cher2.images.places import in_store, place
from cher2.images.reader import open_frames, read_frame, read_frames, read_image
from cher2.images.remote import BLOCK_BYTES, RemoteFile, fetched, read_remote
from cher2.images.remote_folder import list_remote
from cher2.protocol import Protocol
from cher2.study.provenance import file_digest, file_stamp

PROTOCOL = Protocol()
NAMES = ["DAPI", "CK", "CD45", "HER2"]


def put(bucket, files):
    """Put bytes, or a file on the disk, under each key."""
    for key, content in files.items():
        data = content.read_bytes() if isinstance(content, Path) else content
        # s3fs would mend an odd key.
        in_store(bucket)[0].call_s3("put_object", Bucket=bucket.drive, Key=key, Body=data)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Return an OME-TIFF of 12 frames of four channels of 300 x 400."""
    path = tmp_path_factory.mktemp("stack") / "stack.ome.tif"
    pixels = np.random.default_rng(7).integers(0, 4096, (12, 4, 300, 400), dtype=np.uint16)
    tifffile.imwrite(path, pixels, metadata={"axes": "TCYX", "Channel": {"Name": NAMES}})
    return path


def test_a_bucket_is_listed_with_one_request_and_its_stamps_with_none_more(s3, bucket):
    put(bucket, {f"study/P{n}/frame{k}.tif": b"x" * k for n in (1, 2) for k in (2, 10)} | {"study2/no.tif": b"x"})
    put(bucket, {"study/notes.txt": b"", "study/P3/": b"", "study/.hid/a.tif": b"", "study/P1/__MACOSX/a.tif": b""})
    s3.requests.clear()
    files = find_image_files(bucket / "study", PROTOCOL)
    assert [file.name for file in files] == ["P1/frame2.tif", "P1/frame10.tif", "P2/frame2.tif", "P2/frame10.tif"]
    assert [file_stamp(file)[0][:2] for file in files][:2] == [["frame2.tif", 2], ["frame10.tif", 10]]
    assert len(s3.requests) == 1
    # What is asked for one by one says the same.
    assert [file_stamp(ImageFile(file.name, file.paths)) for file in files] == [file_stamp(file) for file in files]


def test_a_changed_object_is_listed_with_another_stamp(bucket):
    put(bucket, {"P1/a.tif": b"one"})
    before = file_stamp(find_image_files(bucket, PROTOCOL)[0])
    put(bucket, {"P1/a.tif": b"two"})
    assert file_stamp(find_image_files(bucket, PROTOCOL)[0]) != before
    # A store of the caller's own, which remembers listings.
    folder = UPath(f"s3://{bucket.drive}", use_listings_cache=True)
    before = file_stamp(find_image_files(folder, PROTOCOL)[0])
    put(bucket, {"P1/a.tif": b"three"})
    assert file_stamp(find_image_files(folder, PROTOCOL)[0]) != before


def test_odd_keys_keep_their_names(bucket, stack):
    keys = ["P1/a b.tif", "P1/f#2.tif", "P1/x?y=1.tif", "P1/µ%20.tif"]
    put(bucket, dict.fromkeys(keys, stack))
    files = find_image_files(bucket, PROTOCOL)
    assert sorted(file.name for file in files) == sorted(keys)
    for file in files:
        assert file_digest(file) == file_digest(ImageFile("x", (stack,)))
        assert read_frame(file, 3, PROTOCOL).name == f"{file.name}#4"


@pytest.mark.parametrize("key", ["study//a.tif", "study/../a.tif"])
def test_keys_that_are_no_paths_are_refused(bucket, key):
    put(bucket, {key: b"x"})
    with pytest.raises(ImageError, match=r"a folder in .* has no name\. Rename it"):
        find_image_files(bucket / "study", PROTOCOL)


def test_a_folder_of_chunks_is_listed_as_one(bucket):
    put(bucket, {f"st/P1/a.ome.zarr/0/{k}": b"x" for k in range(5)} | {"st/P1/b.ZARR/.zattrs": b"", "st/c.tif": b"x"})
    # A plate by its documents, with wells that have their own; what is hidden stays so.
    put(bucket, dict.fromkeys(["st/plate/zarr.json", "st/plate/B/03/zarr.json", "st/.old/a.zarr/zarr.json"], b"{}"))
    listing = list_remote(bucket / "st")
    assert set(listing.zarr_folders) == {"P1/a.ome.zarr", "P1/b.ZARR", "plate"}
    assert set(listing.files) == {"c.tif"}
    with pytest.raises(ImageError, match=r"it is a Zarr folder.*Name the folder that it lies in"):
        list_remote(bucket / "st/plate")
    # Its chunks are asked for one by one, whatever there are.
    image = ImageFile("a", (bucket / "st/P1/a.ome.zarr",))
    with fetched(image) as here:
        assert here is image


def test_what_is_not_there_is_said(bucket):
    put(bucket, {"a/b.txt": b"x"})
    with pytest.raises(ImageError, match=r"there is no such folder"):
        find_image_files(bucket / "nothing", PROTOCOL)
    with pytest.raises(ImageError, match=r"it is a file, not a folder"):
        find_image_files(bucket / "a/b.txt", PROTOCOL)
    with pytest.raises(ImageError, match=r"there is no image .* 1 \.txt, such as b\.txt"):
        find_image_files(bucket / "a", PROTOCOL)
    with pytest.raises(ImageError, match=r"^s3://no-such-bucket-of-ours/x: there is nothing at this URL"):
        find_image_files("s3://no-such-bucket-of-ours/x", PROTOCOL)
    with pytest.raises(ImageError, match=r"there is nothing at this URL"):
        read_image(f"{bucket}a/no.tif")


def test_a_file_of_frames_is_brought_here_with_one_request(s3, bucket, stack):
    put(bucket, {"P1/stack.ome.tif": stack})
    (file,) = find_image_files(bucket, PROTOCOL)
    s3.requests.clear()
    here = list(read_frames(file, PROTOCOL))
    assert [(request.method, request.range) for request in s3.requests] == [("GET", None)]
    assert [image.name for image in here] == [f"P1/stack.ome.tif#{k + 1}" for k in range(12)]
    assert np.array_equal([image.pixels for image in here], tifffile.imread(stack))


def test_of_a_large_file_one_frame_is_asked_for(s3, bucket, stack, monkeypatch):
    monkeypatch.setattr("cher2.images.reader.FRAME_FETCH_BYTES", 2**20)
    put(bucket, {"stack.ome.tif": stack})
    (file,) = find_image_files(bucket, PROTOCOL)
    s3.requests.clear()
    image = read_frame(file, 7, PROTOCOL)
    assert np.array_equal(image.pixels, tifffile.imread(stack)[7])
    assert image.channels == tuple(NAMES)
    asked = [request.range.removeprefix("bytes=").split("-") for request in s3.requests if request.range]
    # Its four pages, and few blocks for the tags of all of them.
    assert sum(int(end) - int(start) + 1 == 300 * 400 * 2 for start, end in asked) <= 4
    assert sum(int(end) - int(start) + 1 for start, end in asked) < 4 * 300 * 400 * 2 + 5 * BLOCK_BYTES
    assert len(asked) <= 8


def test_an_open_file_in_a_store_says_what_it_holds(bucket, stack):
    put(bucket, {"stack.ome.tif": stack})
    with (
        open_frames(ImageFile("a", (bucket / "stack.ome.tif",)), PROTOCOL) as there,
        open_frames(ImageFile("a", (stack,)), PROTOCOL) as here,
    ):
        assert len(there) == len(here) == 12
        assert there.info(11) == here.info(11)


@pytest.mark.parametrize("in_order", [True, False])
def test_ranges_give_the_bytes_of_the_file(bucket, in_order):
    data = np.random.default_rng(1).bytes(3 * BLOCK_BYTES + 5)
    put(bucket, {"a": data, "empty": b""})
    file = RemoteFile(bucket / "a", in_order=in_order)
    for start, count in [(5, 10), (BLOCK_BYTES - 1, 2), (7, 2 * BLOCK_BYTES), (len(data) - 3, BLOCK_BYTES + 9), (0, 1)]:
        file.seek(start)
        assert file.read(count) == data[start : start + count]
        assert file.tell() == min(start + count, len(data))
    assert file.seek(0, 2) == len(data)
    assert file.read(BLOCK_BYTES + 1) == b""
    assert read_remote(bucket / "empty", 32) == b""
    with pytest.raises(ImageError, match="the file is empty"):
        read_image(bucket / "empty")


def test_one_file_a_channel_is_read_by_url(bucket, tmp_path):
    planes = np.random.default_rng(2).integers(0, 4096, (4, 20, 30), dtype=np.uint16)
    for name, plane in zip(NAMES, planes, strict=True):
        tifffile.imwrite(tmp_path / "f.tif", plane)
        # All of one name, in folders of their own.
        put(bucket, {f"sets/P1/{name}/f.tif": tmp_path / "f.tif", f"P1/f_{name}.tif": tmp_path / "f.tif"})
    protocol = Protocol.from_dict({"image": {"file_pattern": "{channel}/{frame}.tif"}})
    (file,) = find_image_files(bucket / "sets", protocol)
    assert len(file.stamps) == 4
    image = read_frame(file, 0, protocol)
    assert [dict(zip(image.channels, image.pixels, strict=True))[name].tolist() for name in NAMES] == planes.tolist()
    assert read_image(f"{bucket}P1/f_{{channel}}.tif").channels == image.channels
    in_store(bucket)[0].rm(f"{bucket.drive}/P1/f_CK.tif")
    with pytest.raises(ChannelError, match='no file of the channel "CK"'):
        read_image(f"{bucket}P1/f_{{channel}}.tif")


def test_errors_of_a_file_brought_here_name_its_url(bucket, stack):
    put(bucket, {"P1/cut.tif": stack.read_bytes()[:5000]})
    (file,) = find_image_files(bucket, PROTOCOL)
    with pytest.raises(ImageError) as error:
        read_frame(file, 0, PROTOCOL)
    assert error.value.where == f"{bucket}P1/cut.tif"
    assert tempfile.gettempdir() not in str(error.value)


def test_what_was_brought_here_goes_when_it_was_read(bucket, stack):
    put(bucket, {"stack.ome.tif": stack})
    (file,) = find_image_files(bucket, PROTOCOL)
    with pytest.raises(Cher2Error), fetched(file) as here:  # noqa: PT012
        (path,) = here.paths
        assert path.read_bytes() == stack.read_bytes()
        # Blood of patients: for nobody else's eyes.
        assert path.parents[1].stat().st_mode & 0o077 == 0
        raise Cher2Error("broken")
    assert not path.parents[1].exists()


def test_what_its_maker_opens_by_a_path_is_brought_here_whatever_its_size(bucket):
    put(bucket, {"a.nd2": b"x" * 10, "a.tif": b"x" * 10})
    for name, local in (("a.nd2", True), ("a.tif", False)):
        with fetched(ImageFile(name, (bucket / name,)), 9) as here:
            assert isinstance(here.paths[0], Path) == local


def test_a_busy_store_is_asked_again(s3, bucket, stack):
    put(bucket, {"P1/stack.ome.tif": stack})
    s3.busy[f"/{bucket.drive}/P1/stack.ome.tif"] = 2
    (file,) = find_image_files(bucket, PROTOCOL)
    assert read_frame(file, 0, PROTOCOL).shape == (300, 400)
    assert s3.busy[f"/{bucket.drive}/P1/stack.ome.tif"] == 0


def test_a_store_that_is_gone_is_an_error_within_five_seconds():
    from s3_server import S3Server

    server = S3Server()
    path = place("s3://bucket/a.tif")
    gone = UPath(path, **path.storage_options, key="k", secret="hush", endpoint_url=server.url)
    server.stop()
    start = time.monotonic()
    with pytest.raises(
        ImageError, match=r"^s3://bucket/a\.tif: the store does not give it \(Could not connect"
    ) as error:
        read_image(gone)
    assert time.monotonic() - start < 5
    assert "hush" not in str(error.value)


def test_without_credentials_the_command_line_says_so_within_five_seconds(s3, refused, monkeypatch, tmp_path):
    from s3fs import S3FileSystem

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    # What is connected already keeps its credentials.
    S3FileSystem.clear_instance_cache()
    start = time.monotonic()
    with pytest.raises(ImageError, match="Unable to locate credentials"):
        find_image_files("s3://bucket/x", PROTOCOL)
    assert time.monotonic() - start < 5
    line = refused("run", "s3://bucket/x", "-o", tmp_path / "study", says=["AWS_PROFILE", "docs/cloud.md"])
    assert line.startswith("Error: s3://bucket/x: the store does not give it (Unable to locate credentials).")
    S3FileSystem.clear_instance_cache()


class _Site(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; of a file called cut.tif, only half of what it announces."""

    def log_message(self, *words):
        pass

    def copyfile(self, source, outputfile):
        data = source.read()
        # Who asks for a range may leave before the whole came.
        with suppress(ConnectionError):
            outputfile.write(data[: len(data) // 2] if "cut" in self.path else data)


@pytest.fixture
def site(tmp_path):
    """Return the URL of a folder on a real HTTP server that serves listings, and no ranges."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_site_with_listings_is_read(site, tmp_path, stack):
    for name in ("P1/stack.ome.tif", "P2/cut.tif"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        (tmp_path / "images" / name).write_bytes(stack.read_bytes())
    whole, cut = find_image_files(f"{site}/images", PROTOCOL)
    assert (whole.name, cut.name) == ("P1/stack.ome.tif", "P2/cut.tif")
    expected = tifffile.imread(stack)
    assert np.array_equal(read_frame(whole, 5, PROTOCOL).pixels, expected[5])
    with open_frames(whole, PROTOCOL) as frames:
        assert np.array_equal(frames.read(6, "x").pixels, expected[6])
    signed = read_image(f"{site}/images/P1/stack.ome.tif?signature=hush", frame=2)
    assert signed.name == "stack.ome.tif#3"
    # The listing tells no size and no time; the file itself does.
    assert file_stamp(whole) == file_stamp(whole)
    assert file_stamp(whole)[0][:2] == ["stack.ome.tif", stack.stat().st_size]
    for attempt in (lambda: read_frame(cut, 0, PROTOCOL), lambda: read_image(f"{site}/images/P2/cut.tif?token=hush")):
        with pytest.raises(ImageError, match=rf"^{site}/images/P2/cut\.tif: the store does not give it") as error:
            attempt()
        assert "hush" not in str(error.value)
