"""Everything that a laboratory decides, in one frozen, validated object.

The same :class:`Protocol` serves the command line, the napari form and a notebook; a file stores it as TOML.
Every key is optional, and an unknown one is refused: a misspelt cut-off must not pass for the default.
"""

from cher2.protocol.cohort import RESERVED, SITES, CohortRules, Kind, Site, Variable
from cher2.protocol.example import example_toml
from cher2.protocol.model import Protocol, as_protocol
from cher2.protocol.sections import (
    BUILT_IN,
    LARGEST_LIMIT,
    ROLES,
    ChannelName,
    Channels,
    Gate,
    Grade,
    Identify,
    ImageSettings,
    PatientRules,
    Quality,
    Role,
    SegmentationSettings,
)

__all__ = [
    "BUILT_IN",
    "LARGEST_LIMIT",
    "RESERVED",
    "ROLES",
    "SITES",
    "ChannelName",
    "Channels",
    "CohortRules",
    "Gate",
    "Grade",
    "Identify",
    "ImageSettings",
    "Kind",
    "PatientRules",
    "Protocol",
    "Quality",
    "Role",
    "SegmentationSettings",
    "Site",
    "Variable",
    "as_protocol",
    "example_toml",
]
