"""Spill taken out again, and estimated, on arrays worked by hand and on synthetic frames of known spill."""

import time

import numpy as np
import pandas as pd
import pytest

from cher2 import Image, Protocol
from cher2.cells.background import estimate_background
from cher2.cells.compensation import compensate, compensated_noise, unmixing
from cher2.cells.score import grade_sample, measure_image
from cher2.cells.segmentation import segment, segment_nuclei
from cher2.cells.spill import Spill, cell_means, estimate_spill, estimate_spill_of_ctcs
from cher2.errors import GradingError, ProtocolError
from cher2.protocol import ROLES
from cher2.simulate.cells import Cell, populate_frame
from cher2.simulate.frame import simulate_frame
from cher2.simulate.settings import StudySettings

NAMES = ("DAPI", "CK", "CD45", "HER2")
BOTH = {"ck->her2": 0.03, "her2->ck": 0.03}


def planes(seed=0, shape=(30, 40)):
    rng = np.random.default_rng(seed)
    return {role: rng.normal(100, 30, shape).astype(np.float32) for role in ROLES}


def frames(spill, grades, count=4):
    settings = StudySettings(
        frame_shape=(420, 520), leukocytes_per_frame=25, ctcs_per_patient=30, frames_per_patient=2, spill=spill
    )
    for seed in range(count):
        cells = populate_frame(settings, grades, np.random.default_rng([21, seed]))
        yield simulate_frame(settings, cells, np.random.default_rng([22, seed])).pixels


def scored(spill, grades=(0,) * 12 + (1, 2, 3) * 5, compensation=None):
    protocol = Protocol(compensation=compensation or {})
    images = [Image(pixels, NAMES, 0.64, str(k), 12) for k, pixels in enumerate(frames(spill, grades))]
    objects = pd.concat([measure_image(image, protocol).objects for image in images], ignore_index=True)
    return grade_sample(objects, protocol)[0]


@pytest.fixture(scope="module")
def clean():
    return scored(0.0)


@pytest.fixture(scope="module")
def spilled():
    return scored(0.03)


@pytest.fixture(scope="module")
def compensated():
    return scored(0.03, compensation=BOTH)


@pytest.fixture(scope="module")
def ck_control():
    """Cells with cytokeratin and no other stain; 3 % of their light is seen in HER2."""
    settings = StudySettings(
        frame_shape=(500, 500),
        specks_per_frame=0,
        fibres_per_frame=0,
        debris_per_frame=0,
        blobs_per_frame=0,
        spill=0.03,
    )
    rng = np.random.default_rng(31)
    cells = [
        Cell("ck_without_nucleus", 30.0 + 48 * row, 30.0 + 48 * column, 12.0, 0.0, rng.uniform(50, 1500), 0.0, 0.0)
        for row in range(10)
        for column in range(10)
    ]
    pixels = dict(zip(ROLES, simulate_frame(settings, cells, rng).pixels, strict=True))
    signals = {role: pixels[role] - estimate_background(pixels[role], 0.64).plane for role in ROLES}
    return cell_means(signals, segment_nuclei(pixels["ck"], 0.64))


def test_nothing_to_compensate_changes_nothing():
    signals = planes()
    done = compensate(signals, {})
    assert all(done[role] is signals[role] for role in ROLES)
    assert compensated_noise(dict.fromkeys(ROLES, 2.5), {}) == dict.fromkeys(ROLES, 2.5)
    assert (unmixing({"ck->her2": 0.0}) == np.eye(4)).all()


def test_one_spill_by_hand():
    signals = planes()
    done = compensate(signals, {"ck->her2": 0.1})
    np.testing.assert_allclose(done["her2"], signals["her2"] - 0.1 * signals["ck"], rtol=1e-5)
    assert all(done[role] is signals[role] for role in ROLES if role != "her2")


def test_two_way_spill_by_hand():
    """Measured CK = c + 0.2 h and HER2 = h + 0.1 c: h = (HER2 - 0.1 CK) / 0.98."""
    signals = planes()
    done = compensate(signals, {"ck->her2": 0.1, "her2->ck": 0.2})
    np.testing.assert_allclose(done["her2"], (signals["her2"] - 0.1 * signals["ck"]) / 0.98, rtol=1e-4)
    np.testing.assert_allclose(done["ck"], (signals["ck"] - 0.2 * signals["her2"]) / 0.98, rtol=1e-4)


def test_every_pair_at_once_is_taken_back():
    true = planes()
    rng = np.random.default_rng(1)
    pairs = {f"{a}->{b}": float(rng.uniform(0, 0.1)) for a in ROLES for b in ROLES if a != b}
    mixed = {
        b: (true[b] + sum(np.float32(pairs[f"{a}->{b}"]) * true[a] for a in ROLES if a != b)).astype(np.float32)
        for b in ROLES
    }
    kept = {role: plane.copy() for role, plane in mixed.items()}
    done = compensate(mixed, pairs)
    for role in ROLES:
        assert done[role].dtype == np.float32
        np.testing.assert_allclose(done[role], true[role], atol=2e-4)
        assert (mixed[role] == kept[role]).all()


def test_noise_grows_as_that_of_noise_does():
    rng = np.random.default_rng(2)
    noise: dict = {"dapi": 3.0, "ck": 20.0, "cd45": 4.0, "her2": 5.0}
    pairs = {"ck->her2": 0.3, "her2->ck": 0.1}
    empty = {role: rng.normal(0, noise[role], (400, 500)).astype(np.float32) for role in ROLES}
    expected = compensated_noise(noise, pairs)
    for role, plane in compensate(empty, pairs).items():
        assert expected[role] == pytest.approx(plane.std(), rel=0.01)
    assert expected["her2"] > 7.5
    assert expected["cd45"] == 4.0


def test_the_segmentation_knows_the_noise_of_compensated_channels():
    rng = np.random.default_rng(3)
    raw = {role: rng.normal(200, sd, (200, 200)) for role, sd in zip(ROLES, (2, 30, 2, 4), strict=True)}
    plain, done = segment(raw, 0.64), segment(raw, 0.64, {"ck->her2": 0.2})
    assert plain.backgrounds["her2"].noise == pytest.approx(4, rel=0.05)
    assert done.backgrounds["her2"].noise == pytest.approx(np.hypot(4, 6), rel=0.05)
    assert done.signals["her2"].std() == pytest.approx(np.hypot(4, 6), rel=0.05)
    assert done.backgrounds["ck"].noise == plain.backgrounds["ck"].noise
    assert (segment(raw, 0.64, {}).signals["her2"] == plain.signals["her2"]).all()


@pytest.mark.parametrize("pairs", [{"ck->her2": 0.95, "her2->ck": 0.95}, {"ck->her2": 1.0, "her2->ck": 1.0}])
def test_channels_that_are_nearly_the_same_are_refused(pairs):
    with pytest.raises(ProtocolError, match="cannot be taken back"):
        compensate(planes(), pairs)


@pytest.mark.parametrize("pairs", [{"ck->her3": 0.1}, {"ck": 0.1}, {"ck->her2": float("nan")}])
def test_pairs_that_make_no_sense_are_refused(pairs):
    with pytest.raises(ProtocolError):
        compensate(planes(), pairs)


def test_a_frame_takes_milliseconds():
    """Measured 1.3 ms for both directions; 20 ms leave room for a machine in use."""
    signals = planes(shape=(1036, 1384))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        compensate(signals, BOTH)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02


def matched(first, second):
    """Return rows of the same frame whose centroids are the same cell."""
    pairs = []
    for image in first["image"].unique():
        a, b = (table[(table["image"] == image) & (table["kind"] == "ctc")] for table in (first, second))
        distance = np.hypot(*(a[c].to_numpy()[:, None] - b[c].to_numpy() for c in ("y_px", "x_px")))
        near = distance.argmin(axis=1)
        kept = distance.min(axis=1) < 2
        pairs.append((a[kept], b.iloc[near[kept]]))
    return pd.concat([a for a, _ in pairs]), pd.concat([b for _, b in pairs])


def test_compensated_cells_measure_as_without_spill(clean, spilled, compensated):
    a, b = matched(clean, compensated)
    negative = (a["grade_auto"] == 0).to_numpy()
    assert negative.sum() >= 30
    difference = (b["her2_mean"].to_numpy() - a["her2_mean"].to_numpy())[negative]
    spread = np.hypot(a["her2_se"].to_numpy(), b["her2_se"].to_numpy())[negative]
    # The mean of all agrees within three standard errors, and single cells scatter as their errors say.
    assert abs(difference.mean()) < 3 * np.sqrt((spread**2).mean() / negative.sum())
    assert np.median(np.abs(difference) / spread) < 1.5
    a, b = matched(clean, spilled)
    assert np.median((b["her2_mean"].to_numpy() - a["her2_mean"].to_numpy())[a["grade_auto"] == 0]) > 8


def test_compensation_of_cytokeratin_comes_before_the_cells_are_outlined(clean, spilled, compensated):
    """HER2 in CK brightens the bodies of 3+ cells; taken out, CK is as without spill."""
    strong = clean["grade_auto"] == 3
    assert strong.sum() >= 10
    a, b = matched(clean[strong], compensated)
    assert np.median(b["ck_mean"].to_numpy() / a["ck_mean"].to_numpy()) == pytest.approx(1, abs=0.01)
    a, b = matched(clean[strong], spilled)
    assert np.median(b["ck_mean"].to_numpy() - a["ck_mean"].to_numpy()) > 10


def test_spill_of_a_control(ck_control):
    spills = {spill.pair: spill for spill in estimate_spill(ck_control, "ck")}
    assert set(spills) == {"ck->dapi", "ck->cd45", "ck->her2"}
    found = spills["ck->her2"]
    assert found.fraction == pytest.approx(0.03, abs=0.002)
    assert found.low <= 0.0305
    assert found.high >= 0.0295
    assert found.is_there
    assert not spills["ck->dapi"].is_there
    assert abs(spills["ck->cd45"].fraction) < 0.002


def test_autofluorescence_is_no_spill(ck_control):
    brighter = ck_control.assign(her2=ck_control["her2"] + 40)
    _, _, found = estimate_spill(brighter, "ck")
    assert found.fraction == pytest.approx(0.03, abs=0.002)


def test_a_control_of_few_cells_is_refused(ck_control):
    with pytest.raises(GradingError, match="19 bright cells"):
        estimate_spill(ck_control.nlargest(19, "ck"), "ck")
    with pytest.raises(GradingError, match="0 bright cells"):
        estimate_spill(ck_control.iloc[:0], "ck")
    with pytest.raises(GradingError, match="equally bright"):
        estimate_spill(ck_control.assign(ck=100.0), "ck")


def test_spill_of_a_study(clean, spilled):
    found = estimate_spill_of_ctcs(spilled)
    assert found.fraction == pytest.approx(0.03, abs=0.01)
    assert found.is_there
    assert found.low <= 0.03 <= found.high
    assert str(found).startswith("ck->her2: 0.0")
    none = estimate_spill_of_ctcs(clean)
    assert abs(none.fraction) < 0.01
    assert not none.is_there
    assert "taken for none" in str(none)


def test_after_compensation_no_spill_is_left(compensated):
    assert abs(estimate_spill_of_ctcs(compensated).fraction) < 0.01


def test_without_negative_ctcs_or_leukocytes_a_study_is_refused(clean):
    with pytest.raises(GradingError, match="CTCs can be HER2-negative"):
        estimate_spill_of_ctcs(clean[(clean["kind"] != "ctc") | (clean["grade_auto"] > 0)])
    with pytest.raises(GradingError, match="0 leukocytes"):
        estimate_spill_of_ctcs(clean[clean["kind"] == "ctc"])
    with pytest.raises(GradingError, match="0 of 0 CTCs"):
        estimate_spill_of_ctcs(clean[clean["kind"] == "leukocyte"])


def test_many_cells_are_thinned_and_give_the_same_slope():
    rng = np.random.default_rng(5)
    ck = rng.uniform(100, 1000, 20_000)
    means = pd.DataFrame({"dapi": 0.0, "ck": ck, "cd45": 1.0, "her2": 0.02 * ck + rng.normal(0, 2, 20_000)})
    start = time.perf_counter()
    spills = estimate_spill(means, "ck")
    assert time.perf_counter() - start < 5
    assert spills[2].fraction == pytest.approx(0.02, abs=0.001)
    assert spills[2].n_cells == (ck >= 0.25 * np.quantile(ck, 0.95)).sum()


def test_a_small_fraction_is_taken_for_none():
    assert not Spill("ck", "her2", 0.004, 0.003, 0.005, 50, "").is_there
    assert not Spill("ck", "her2", 0.02, -0.001, 0.04, 50, "").is_there
