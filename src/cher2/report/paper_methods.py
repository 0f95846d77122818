"""What was done, as the methods section of a paper, with references and the items of REMARK and STROBE it answers.

Everything in it is read from the protocol in force and from what the study did: nothing has to be remembered when
the paper is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cher2.protocol import Protocol

REFERENCES = {
    "abstract": "American Society of Clinical Oncology annual meeting 2021, abstract 3036 (cHER2 ratio).",
    "cellsearch": "Allard WJ, Matera J, Miller MC, et al. Tumor cells circulate in the peripheral blood of all major "
    "carcinomas but not in healthy subjects or patients with nonmalignant diseases. Clin Cancer Res 2004;10:6897-904.",
    "jeffreys": "Brown LD, Cai TT, DasGupta A. Interval estimation for a binomial proportion. Stat Sci 2001;16:101-33.",
    "kaplan_meier": "Kaplan EL, Meier P. Nonparametric estimation from incomplete observations. J Am Stat Assoc "
    "1958;53:457-81.",
    "cox": "Cox DR. Regression models and life-tables. J R Stat Soc B 1972;34:187-220.",
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65-70.",
    "fdr_bh": "Benjamini Y, Hochberg Y. Controlling the false discovery rate. J R Stat Soc B 1995;57:289-300.",
    "cutoffs": "Altman DG, Lausen B, Sauerbrei W, Schumacher M. Dangers of using optimal cutpoints in the evaluation "
    "of prognostic factors. J Natl Cancer Inst 1994;86:829-35.",
    "remark": "McShane LM, Altman DG, Sauerbrei W, et al. Reporting recommendations for tumor marker prognostic "
    "studies (REMARK). J Natl Cancer Inst 2005;97:1180-4.",
    "strobe": "von Elm E, Altman DG, Egger M, et al. The Strengthening the Reporting of Observational Studies in "
    "Epidemiology (STROBE) statement. Lancet 2007;370:1453-7.",
}
"""What the text refers to."""

_UNITS = {
    "counts": "camera counts above the local background",
    "leukocyte_ratio": "multiples of the median HER2 of the leukocytes of the same sample",
    "leukocyte_sd": "robust standard deviations (1.4826 MAD) above the median HER2 of the leukocytes of the same "
    "sample",
}
_CORRECTIONS = {"holm": "by Holm's method", "fdr_bh": "by the method of Benjamini and Hochberg"}


@dataclass(frozen=True)
class MethodsText:
    """A methods section.

    Parameters
    ----------
    paragraphs : tuple of (str, str, str)
        A heading, the text with its references as ``[1]``, and the items of the reporting guidelines that it answers.
    references : tuple of str
        In the order in which the text names them.
    """

    paragraphs: tuple[tuple[str, str, str], ...]
    references: tuple[str, ...]

    def __str__(self) -> str:
        text = "\n\n".join(f"{heading}. {words} ({items})" for heading, words, items in self.paragraphs)
        listed = "\n".join(f"{number}. {reference}" for number, reference in enumerate(self.references, 1))
        return f"{text}\n\nReferences\n{listed}\n"


def methods_text(
    protocol: Protocol, software: Mapping[str, str], *, review: str = "", compared: bool = True, survival: bool = False
) -> MethodsText:
    """Write the methods section of a study.

    Parameters
    ----------
    protocol : Protocol
        The protocol in force.
    software : mapping of str to str
        Versions by name, as provenance has them.
    review : str
        How much readers have judged, as a sentence without its full stop; empty where nothing was.
    compared, survival : bool
        Whether cohorts, and their survival, were compared.

    Returns
    -------
    MethodsText
    """
    cited: list[str] = []

    def cite(name: str) -> str:
        if name not in cited:
            cited.append(name)
        return f"[{cited.index(name) + 1}]"

    paragraphs = [
        ("Assay", _assay(protocol, cite("cellsearch")), "REMARK 4, 5; STROBE 8"),
        ("HER2 grades", _grades(protocol, review), "REMARK 5, 11; STROBE 7, 11"),
        ("cHER2 ratio", _ratio(protocol, cite("abstract"), cite("jeffreys")), "REMARK 2, 11, 12; STROBE 6, 11, 13"),
    ]
    if compared:
        words = _comparison(protocol, cite(protocol.cohort.correction) if protocol.cohort.correction != "none" else "")
        if survival:
            words += (
                f" Survival was estimated by the method of Kaplan and Meier {cite('kaplan_meier')} with log-log "
                "intervals "
                f"and compared by the log-rank test; hazard ratios are those of Cox's regression {cite('cox')} with "
                "profile likelihood intervals."
            )
        words += (
            f" The threshold of the ratio, {protocol.patient.ratio_threshold:g}, is the protocol's; what other "
            f"thresholds would have given is shown, and was not used to choose one {cite('cutoffs')}."
        )
        paragraphs.append(("Statistics", words, "REMARK 7, 8, 10, 11, 15; STROBE 12, 16, 17"))
    version = software.get("cher2", "")
    others = ", ".join(f"{name} {number}" for name, number in software.items() if name != "cher2")
    words = f"Images were scored and tables derived with cher2 {version}".rstrip() + (f" ({others})" if others else "")
    paragraphs.append(("Software", f"{words}. It is research software, not a diagnostic.", "STROBE 8, 12"))
    paragraphs.append(
        (
            "Reporting",
            f"The items named follow the REMARK {cite('remark')} and STROBE {cite('strobe')} statements. Treatments, "
            "follow-up, case selection and the size of the study (REMARK 2, 3, 6, 7, 9; STROBE 4 to 6, 10) are for the "
            "authors to describe.",
            "not answered here",
        )
    )
    return MethodsText(tuple(paragraphs), tuple(REFERENCES[name] for name in cited))


def _assay(protocol: Protocol, cellsearch: str) -> str:
    channels, identify = protocol.channels, protocol.identify
    gates = {"DAPI": identify.dapi_min, "cytokeratin": identify.ck_min, "CD45": identify.cd45_max}
    automatic = [name for name, gate in gates.items() if gate == "auto"]
    own = (
        f" The gates of {', '.join(automatic)} were found in each sample from its own cells, with its leukocytes as "
        "the internal control."
        if automatic
        else ""
    )
    return (
        f"Enriched blood was imaged in the channels {channels.dapi} (nucleus), {channels.ck} (cytokeratin), "
        f"{channels.cd45} (CD45) and {channels.her2} (HER2); protocol: {protocol.name}. A CTC is positive for DAPI and "
        f"cytokeratin and negative for CD45, as in {cellsearch}, {identify.min_diameter_um:g} to "
        f"{identify.max_diameter_um:g} µm across, with its nucleus over at least "
        f"{100 * identify.nucleus_overlap_min:g} % of the cell.{own}"
    )


def _grades(protocol: Protocol, review: str) -> str:
    one, two, three = protocol.grade.cutoffs
    read = f" {review}." if review else " No grade was changed by a reader."
    return (
        f"HER2 is the mean over the cell body in {_UNITS[protocol.grade.unit]}, corrected for uneven illumination "
        "where "
        f"that was measurable. Grades: 0 below {one:g}, 1+ from {one:g}, 2+ from {two:g}, 3+ from {three:g}.{read}"
    )


def _ratio(protocol: Protocol, abstract: str, jeffreys: str) -> str:
    rules = protocol.patient
    counted = "CTCs" if rules.count == "all" else "HER2-positive CTCs"
    draws = "the first draw" if rules.draws == "first" else "all draws together"
    return (
        f"The cHER2 ratio is the number of 2+ and 3+ CTCs over that of all HER2-positive (1+, 2+, 3+) CTCs {abstract}, "
        "with "
        f"its 95 % Jeffreys interval {jeffreys}. Patients with fewer than {rules.min_ctcs} {counted} were excluded; "
        "without "
        f"a HER2-positive CTC the ratio is undefined. Of several draws of a patient, {draws} counted. cHER2 high is a "
        "ratio "
        f"strictly above {rules.ratio_threshold:g}."
    )


def _comparison(protocol: Protocol, correction: str) -> str:
    cohort = protocol.cohort
    adjusted = (
        f"p-values were adjusted {_CORRECTIONS[cohort.correction]} {correction} within each family"
        if cohort.correction in _CORRECTIONS
        else "p-values were not adjusted"
    )
    return (
        "Frequencies of metastatic sites and of oligometastatic disease (at most "
        f"{cohort.oligometastatic_max_sites} sites) were compared between cHER2 high and low with Fisher's exact test, "
        "two-sided, with conditional odds ratios and exact intervals; ordered variables with the Mann-Whitney test. A "
        "site "
        f"that was not assessed is missing, not negative. {adjusted}; further columns are exploratory."
    )
