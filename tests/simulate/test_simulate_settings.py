"""What settings mean, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest

from cher2.errors import StudyError
from cher2.simulate.cells import populate_frame
from cher2.simulate.settings import SCENARIOS, StudySettings


def cells_of(settings, seed=1, ctcs=60):
    return populate_frame(settings, [k % 4 for k in range(ctcs)], np.random.default_rng(seed))


def closest(cells, pixel_size_um):
    """Smallest distance between two cells as a multiple of the sum of their radii."""
    at = np.array([(c.y_px, c.x_px) for c in cells]) * pixel_size_um
    radius = np.array([c.diameter_um / 2 for c in cells])
    ratio = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) / (radius[:, None] + radius[None])
    np.fill_diagonal(ratio, np.inf)
    return ratio.min()


@pytest.mark.parametrize(
    "wrong",
    [
        {"patients": 0},
        {"patients": 2.5},
        {"patients": True},
        {"frames_per_patient": -1},
        {"frame_shape": (10, 10)},
        {"frame_shape": (256,)},
        {"frame_shape": 256},
        {"frame_shape": (256.0, 256.0)},
        {"frame_shape": (256, 10**7)},
        {"pixel_size_um": 0},
        {"pixel_size_um": float("nan")},
        {"pixel_size_um": "0.64"},
        {"leukocytes_per_frame": -1},
        {"leukocytes_per_frame": float("inf")},
        {"ctcs_per_patient": 0},
        {"crowding": 1.01},
        {"staining_drift": -0.1},
        {"dim_ck_fraction": 2},
        {"spill": 1},
        {"defocus_px": -1},
        {"illumination_falloff": 1},
        {"seed": -1},
        {"seed": 2**32},
        {"compress": "yes"},
    ],
)
def test_hostile_settings_are_refused_by_name(wrong):
    with pytest.raises(StudyError) as caught:
        StudySettings(**wrong)
    assert next(iter(wrong)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_cells_than_a_frame_holds_are_refused():
    with pytest.raises(StudyError, match="do not fit"):
        StudySettings(frame_shape=(128, 128), leukocytes_per_frame=150)


def test_an_unknown_scenario_or_setting_is_refused_with_the_known_ones():
    with pytest.raises(StudyError, match="standard, sample, crowded, hard, drift"):
        StudySettings.for_scenario("easy")
    with pytest.raises(StudyError, match="leukocytes_per_frame"):
        StudySettings.for_scenario("standard", leucocytes=3)


def test_overrides_win_over_the_scenario():
    settings = StudySettings.for_scenario("hard", spill=0.1, frame_shape=[300, 400])
    assert settings.spill == 0.1
    assert settings.frame_shape == (300, 400)
    assert settings.fibres_per_frame == SCENARIOS["hard"]["fibres_per_frame"]


def test_numbers_of_numpy_are_numbers():
    assert StudySettings(patients=np.int64(3), spill=np.float32(0.25)).patients == 3


def test_without_crowding_no_cell_touches_another():
    settings = StudySettings(crowding=0, clustered_fraction=0, leukocytes_per_frame=300)
    cells = cells_of(settings)
    assert len(cells) > 300
    assert closest(cells, 0.64) > 1.05
    assert {cell.cluster_id for cell in cells} == {0}


def test_crowded_has_twice_the_leukocytes_and_they_overlap():
    standard = cells_of(StudySettings())
    crowded = cells_of(StudySettings.for_scenario("crowded"))
    count = [sum(cell.kind == "leukocyte" for cell in cells) for cells in (standard, crowded)]
    assert 1.6 < count[1] / count[0] < 2.4
    assert closest(crowded, 0.64) < 0.8
    touching = [np.mean([cell.cluster_id > 0 for cell in cells]) for cells in (standard, crowded)]
    # Pairs and groups in the standard scenario too, as in real frames.
    assert 0.15 < touching[0] < 0.6 < touching[1]


def test_hard_has_dim_ctcs_and_leukocytes_with_weak_ck():
    settings = StudySettings.for_scenario("hard", leukocytes_per_frame=600)
    cells = cells_of(settings, ctcs=400)
    ctcs = [cell for cell in cells if cell.kind == "ctc"]
    leukocytes = [cell for cell in cells if cell.kind == "leukocyte"]
    dim = [cell.ck for cell in ctcs if cell.what == "dim_ctc"]
    weak = [cell.ck for cell in leukocytes if cell.what == "weak_ck_leukocyte"]
    assert len(dim) / len(ctcs) == pytest.approx(1 / 7, abs=0.06)
    assert len(weak) / len(leukocytes) == pytest.approx(1 / 8, abs=0.05)
    # Levels overlap: no threshold on CK alone parts these two.
    assert np.percentile(dim, 25) < np.percentile(weak, 75)
    assert min(cell.ck for cell in ctcs if cell.what == "ctc") >= 110


def test_standard_has_neither_dim_ctcs_nor_drift():
    assert {cell.what for cell in cells_of(StudySettings())} >= {"ctc", "leukocyte"}
    assert "dim_ctc" not in {cell.what for cell in cells_of(StudySettings())}
    assert StudySettings().staining_drift == 0


def test_sizes_and_her2_levels_are_those_of_the_literature():
    """CTCs 8 to 20 um (median 12.4), leukocytes about 9.4 um; HER2 medians 12, 58, 193, 620 by grade."""
    cells = cells_of(StudySettings(leukocytes_per_frame=400), ctcs=800)
    ctcs = [cell for cell in cells if cell.kind == "ctc"]
    diameters = [cell.diameter_um for cell in ctcs]
    assert 8 <= min(diameters) <= max(diameters) <= 20
    assert np.median(diameters) == pytest.approx(12.4, abs=0.5)
    leukocytes = [cell for cell in cells if cell.kind == "leukocyte"]
    assert np.median([cell.diameter_um for cell in leukocytes]) == pytest.approx(9.4, abs=0.3)
    assert np.median([cell.her2 for cell in leukocytes]) == pytest.approx(15, rel=0.1)
    assert np.median([cell.dapi for cell in leukocytes]) > np.median([cell.dapi for cell in ctcs])
    levels = np.array([cell.her2 for cell in ctcs])
    grades = np.array([cell.grade for cell in ctcs])
    for grade, median in enumerate((12, 58, 193, 620)):
        assert np.median(levels[grades == grade]) == pytest.approx(median, rel=0.12)
    # The default cut-offs of the protocol part the grades nearly without error.
    assert np.mean(np.digitize(levels, (30, 110, 340)) == grades) > 0.98
