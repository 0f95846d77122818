"""A small writer of LIF files, from the facts of the format as the library liffile reads them (version 2).

A header of UTF-16 XML, then a block of memory for each image.
"""

import struct
from xml.sax.saxutils import escape, quoteattr

import numpy as np

DIM = {"X": 1, "Y": 2, "Z": 3, "T": 4, "M": 10}


def write_lif(path, images, *, cut=0):
    """Write images, dicts of name, pixels, axes ("MTCYX"), channels, and more as _element takes."""
    body = "".join(_element(k, **image) for k, image in enumerate(images))
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="project" UniqueID="p"><Children>'
        f"{body}</Children></Element></LMSDataContainerHeader>"
    )
    out = bytearray(_packet(xml))
    for k, image in enumerate(images):
        data = np.ascontiguousarray(image["pixels"]).tobytes()
        label = f"MemBlock_{k}"
        inner = struct.pack("<BQBI", 0x2A, len(data), 0x2A, len(label)) + label.encode("utf-16-le")
        out += struct.pack("<II", 0x70, len(inner)) + inner + data
    path.write_bytes(bytes(out[: len(out) - cut]))
    return path


def _packet(xml):
    return struct.pack("<IIBI", 0x70, 5 + 2 * len(xml), 0x2A, len(xml)) + xml.encode("utf-16-le")


def _element(
    number,
    name,
    pixels,
    axes="CYX",
    channels=("DAPI",),
    dyes=None,
    um=0.5,
    bits=16,
    tiles=None,
    turned=(0, 0, 0),
    cameras=None,
):
    strides = dict(zip(axes, pixels.strides, strict=True))
    sizes = dict(zip(axes, pixels.shape, strict=True))
    described = "".join(
        f'<ChannelDescription DataType="{int(pixels.dtype.kind == "f")}" ChannelTag="0" Resolution="{bits}" '
        f'NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" LUTName={quoteattr(lut)} IsLUTInverted="0" '
        f'BytesInc="{k * strides.get("C", 0)}" BitInc="0">'
        + (f"<ChannelProperty><Key>DyeName</Key><Value>{escape(dyes[k])}</Value></ChannelProperty>" if dyes else "")
        + "</ChannelDescription>"
        for k, lut in enumerate(channels)
    )
    um_of = {"X": um if np.isscalar(um) else um[0], "Y": um if np.isscalar(um) else um[1]}
    dimensions = "".join(
        f'<DimensionDescription DimID="{DIM[axis]}" NumberOfElements="{sizes[axis]}" Origin="0" '
        f'Length="{um_of.get(axis, 0) * 1e-6 * (sizes[axis] - 1)!r}" Unit="m" BytesInc="{strides[axis]}" BitInc="0"/>'
        for axis in reversed(axes)
        if axis != "C"
    )
    scan = ""
    if tiles:
        flags = dict(zip(("FlipX", "FlipY", "SwapXY"), turned, strict=True))
        scan = f'<Attachment Name="TileScanInfo" {" ".join(f"{k}={str(v)!r}" for k, v in flags.items())}>' + "".join(
            f'<Tile FieldX="{k}" FieldY="0" PosX="{x * 1e-6!r}" PosY="{y * 1e-6!r}"/>' for k, (y, x) in enumerate(tiles)
        )
        scan += "</Attachment>"
    settings = ""
    if cameras:
        settings = (
            '<Attachment Name="HardwareSetting"><ATLCameraSettingDefinition><WideFieldChannelConfigurator>'
            + "".join(
                f"<WideFieldChannelInfo UserDefName={quoteattr(n)} ExposureTime={quoteattr(t)}/>" for n, t in cameras
            )
            + "</WideFieldChannelConfigurator></ATLCameraSettingDefinition></Attachment>"
        )
    return (
        f'<Element Name={quoteattr(name)} UniqueID="u{number}"><Memory Size="{pixels.nbytes}" '
        f'MemoryBlockID="MemBlock_{number}"/><Data><Image><ImageDescription><Channels>{described}</Channels>'
        f"<Dimensions>{dimensions}</Dimensions></ImageDescription>{scan}{settings}</Image></Data></Element>"
    )
