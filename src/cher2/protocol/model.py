"""The protocol as a whole: its sections, and how it is read from a file and written to one."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from cher2.errors import ProtocolError
from cher2.protocol.cohort import CohortRules
from cher2.protocol.faults import first_fault, remedy
from cher2.protocol.sections import (
    ROLES,
    Channels,
    Grade,
    Identify,
    ImageSettings,
    PatientRules,
    Quality,
    Section,
    SegmentationSettings,
)

_SPILL = re.compile(rf"({'|'.join(ROLES)})\s*->\s*({'|'.join(ROLES)})")


class Protocol(Section):
    """A laboratory's protocol: channels, gates, cut-offs and rules.

    Examples
    --------
    >>> Protocol().grade.cutoffs
    (30.0, 110.0, 340.0)
    >>> Protocol.model_validate({"patient": {"min_ctcs": 3}}).patient.min_ctcs
    3
    """

    name: str = Field("CellSearch CXC, HER2-PE", min_length=1)
    channels: Channels = Channels()
    image: ImageSettings = ImageSettings()
    compensation: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(
        default_factory=dict, description="spill: the fraction of the first channel seen in the second"
    )
    segmentation: SegmentationSettings = SegmentationSettings()
    identify: Identify = Identify()
    grade: Grade = Grade()
    quality: Quality = Quality()
    patient: PatientRules = PatientRules()
    cohort: CohortRules = CohortRules()

    @field_validator("compensation")
    @classmethod
    def _known_channels(cls, value: dict[str, float]) -> dict[str, float]:
        pairs = {}
        for key, fraction in value.items():
            match = _SPILL.fullmatch(key.strip())
            if match is None or match[1] == match[2]:
                raise ValueError(f'"{key}" must be two of {", ".join(ROLES)}, for example "ck->her2"')
            pairs[f"{match[1]}->{match[2]}"] = fraction
        return pairs

    @classmethod
    def load(cls, path: str | Path) -> Protocol:
        """Read a protocol from a TOML file.

        Parameters
        ----------
        path : str or Path
            The file; keys that it leaves out have their defaults.

        Returns
        -------
        Protocol

        Raises
        ------
        ProtocolError
            The file is not there, is no TOML, has an unknown key or a value that makes no sense.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ProtocolError(
                f"the protocol cannot be read ({reason})",
                where=str(path),
                remedy="Name a TOML file; 'cher2 protocol --example' prints one",
            ) from error
        return cls.from_toml(text, where=str(path))

    @classmethod
    def from_toml(cls, text: str, where: str = "protocol") -> Protocol:
        """Read a protocol from TOML text; `where` names its source in errors."""
        try:
            return cls.from_dict(tomllib.loads(text), where=where)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            # Brackets in brackets without end.
            raise ProtocolError(
                f"this is not TOML ({error})",
                where=where,
                remedy="Mend that line; 'cher2 protocol --example' prints a whole protocol",
            ) from error

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str = "protocol") -> Protocol:
        """Make a protocol from nested settings, such as a form's; `where` names their source in errors."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ProtocolError(first_fault(error), where=where, remedy=remedy(error, cls)) from None

    def to_toml(self) -> str:
        """Return the protocol as TOML text, which :meth:`from_toml` reads back as an equal object."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json"))

    def fingerprint(self, *sections: str) -> str:
        """Return a short hash of the named sections (of all, where none is named).

        Two protocols with the same fingerprint of the sections that a result depends on give the same result.
        """
        values = self.model_dump(mode="json")
        # Which images are too large to be read changes no number of those that are read.
        del values["image"]["max_pixels"]
        kept = {key: values[key] for key in (sections or sorted(values))}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def as_protocol(protocol: Protocol | str | Path | None) -> Protocol:
    """Return a protocol as it is, read from the file that is named, or the defaults for None.

    Raises
    ------
    ProtocolError
        It is something else, or the file cannot be used.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, (str, Path)):
        return Protocol.load(protocol)
    if protocol is None:
        return Protocol()
    raise ProtocolError(
        f"a protocol was wanted, not {type(protocol).__name__}", remedy="Give a cher2.Protocol, a file's name or None"
    )
