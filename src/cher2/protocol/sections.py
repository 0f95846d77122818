"""What a laboratory decides about channels, images, cells, grades and patients: the sections of a protocol."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Role = Literal["dapi", "ck", "cd45", "her2"]
"""What a channel is for."""

ROLES: tuple[Role, ...] = ("dapi", "ck", "cd45", "her2")
"""The roles, in the order in which cher2 keeps the channels of an image."""
Gate = Annotated[float, Field(ge=0)] | Literal["auto"]
ChannelName = Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)]


LARGEST_LIMIT = 2**31
"""The most pixels of a frame that a protocol can allow."""


class Section(BaseModel):
    """A part of a protocol: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False, str_strip_whitespace=True)


class Channels(Section):
    """Which channel of a file has which role: its name, or its 0-based number."""

    dapi: ChannelName = Field("DAPI", title="DAPI", description="the nuclear stain")
    ck: ChannelName = Field("CK", title="Cytokeratin", description="the epithelial stain")
    cd45: ChannelName = Field("CD45", title="CD45", description="the leukocyte stain")
    her2: ChannelName = Field("HER2", title="HER2", description='the stain that is graded; "none": nothing is')

    @property
    def has_her2(self) -> bool:
        """Whether the images have a HER2 channel; without one, CTCs are found but not graded."""
        return str(self.her2).casefold() != "none"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [str(getattr(self, role)).casefold() for role in ROLES]
        if len(set(names)) < len(names):
            raise ValueError("two roles name the same channel")
        return self


class ImageSettings(Section):
    """How the files are to be read."""

    pixel_size_um: float = Field(0.64, gt=0, title="Pixel size (µm)", description="where the file gives none")
    file_pattern: str = Field(
        "", title="File pattern", description="one file a channel, for example {frame}_{channel}.jpg"
    )
    overlap_px: int = Field(0, ge=0, title="Overlap (px)", description="overlap of neighbouring frames")
    flat_field: Literal["auto", "none"] = Field("auto", title="Flat field", description="from the sample's leukocytes")
    max_pixels: int = Field(
        2**26,
        ge=1,
        le=LARGEST_LIMIT,
        title="Most pixels of a frame",
        description="all channels together; beyond: not read",
    )

    @field_validator("file_pattern")
    @classmethod
    def _names_both(cls, value: str) -> str:
        if value and sorted(re.findall(r"\{(.*?)\}", value)) != ["channel", "frame"]:
            raise ValueError("must hold {frame} once and {channel} once, for example {frame}_{channel}.jpg")
        return value


BUILT_IN = "built-in"
"""The name of cher2's own segmenter."""


class SegmentationSettings(Section):
    """Who finds the cells: cher2 itself, or a segmenter that is installed beside it."""

    segmenter: str = Field(BUILT_IN, min_length=1, title="Segmenter", description="or stardist, cellpose ...")
    model: str = Field("", title="Model", description="of another segmenter: a name or a path; empty: its default")

    @model_validator(mode="after")
    def _of_a_segmenter(self) -> Self:
        if self.model and self.segmenter == BUILT_IN:
            raise ValueError(f'"{BUILT_IN}" has no model: leave model empty, or name another segmenter')
        return self


class Identify(Section):
    """The gates that tell CTCs, leukocytes and others apart.

    A gate is a number in background-subtracted counts, or ``"auto"``: found from the sample's own cells.
    """

    min_diameter_um: float = Field(4.0, gt=0, title="Smallest CTC (µm)")
    max_diameter_um: float = Field(40.0, gt=0, title="Largest CTC (µm)")
    dapi_min: Gate = Field("auto", title="DAPI+ from")
    ck_min: Gate = Field("auto", title="CK+ from")
    cd45_max: Gate = Field("auto", title="CD45− up to")
    nucleus_overlap_min: float = Field(0.2, ge=0, le=1, title="Nucleus inside the cell (fraction)")
    max_eccentricity: float = Field(0.92, ge=0, le=1, title="Most eccentric", description="beyond: a fibre")
    min_solidity: float = Field(0.5, ge=0, le=1, title="Least solid", description="below: ragged debris")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.min_diameter_um >= self.max_diameter_um:
            raise ValueError("min_diameter_um must be below max_diameter_um")
        return self


class Grade(Section):
    """How a cell's HER2 intensity becomes a grade."""

    unit: Literal["counts", "leukocyte_ratio", "leukocyte_sd"] = Field("counts", title="Unit of HER2")
    cutoffs: tuple[float, float, float] = Field(
        (30.0, 110.0, 340.0), title="Cut-offs", description="0 | 1+ | 2+ | 3+; on a cut-off: the higher grade"
    )
    intensity_cv: float = Field(
        0.1, ge=0, le=1, title="CV of the intensity", description="between repeats; widens p0 to p3"
    )

    @field_validator("cutoffs")
    @classmethod
    def _ascending(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not value[0] < value[1] < value[2]:
            raise ValueError(f"must ascend, but are {', '.join(f'{cut:g}' for cut in value)}")
        return value


class Quality(Section):
    """From where on an image or a sample is flagged; a flag is a word in the tables and leaves nothing out."""

    edge_um_max: float = Field(2.4, gt=0, title="Widest edge of nuclei (µm)", description="beyond: out of focus")
    saturated_max: float = Field(0.001, ge=0, le=1, title="Most saturated pixels (fraction)")
    uneven_max: float = Field(1.3, ge=1, title="Most uneven background", description="its highest over its lowest")
    background_max: float = Field(1.5, ge=1, title="Highest background", description="over the study's median")
    objects_min: int = Field(1, ge=0, title="Fewest objects of an image")
    leukocytes_min: int = Field(20, ge=1, title="Fewest leukocytes of a sample")
    staining_max: float = Field(
        1.5, ge=1, title="Staining drift", description="leukocytes' HER2 over or under the study's, this many times"
    )
    staining_z_max: float = Field(3.5, ge=0, title="Staining drift (robust z)", description="and this far from it")


class PatientRules(Section):
    """How graded cells are summed up as a patient."""

    min_ctcs: int = Field(5, ge=1, title="Fewest CTCs")
    count: Literal["all", "her2_positive"] = Field("all", title="The minimum counts")
    ratio_threshold: float = Field(
        0.75, ge=0, lt=1, title="cHER2 high above", description="strictly above: the threshold itself is low"
    )
    draws: Literal["first", "pool"] = Field("first", title="Several draws of a patient")
