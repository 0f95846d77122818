"""Tables of objects for MCMICRO's and CellProfiler's readers, from a scored and reviewed study.

Their columns: ``MaskZstack`` of mcquant/SingleCellDataExtraction.py (labsyspharm/quantification 33f59c0) and
``exporttospreadsheet.py`` of CellProfiler 4 (image features in alphabetical order).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from skimage.measure import regionprops_table

from cher2.exchange.quantification import cellprofiler_image
from cher2.review.ledger import Ledger
from cher2.study.folder import Study

IMAGE = "P03/frame_01.ome.tif"

MCQUANT = (
    *("CellID", "DAPI", "CK", "CD45", "HER2", "X_centroid", "Y_centroid", "Area", "MajorAxisLength"),
    *("MinorAxisLength", "Eccentricity", "Solidity", "Extent", "Orientation"),
)


@pytest.fixture
def study(study_copy):
    return Study(study_copy)


@pytest.fixture
def judged(study, judge):
    """Return the number of a cell of the image that a reader has graded 1+."""
    cells = Ledger(study).cells
    row = int(np.flatnonzero((cells["image"] == IMAGE) & (cells["grade_auto"] == 3))[0])
    judge(study, [row], [1])
    return int(cells["object_id"].iloc[row])


def test_mcmicro_has_its_own_columns_and_numbers(study, judged, command, refused, tmp_path):
    out = tmp_path / "mcmicro"
    ran = command("export", study.path, "--as", "mcmicro", "-o", out)
    assert (ran.code, ran.err) == (0, "")
    index = pd.read_csv(out / "images.csv").set_index("image")["file"]
    assert index.index.tolist() == study.samples["image"].tolist()
    table = pd.read_csv(out / index[IMAGE]).set_index("CellID", drop=False)
    assert tuple(table.columns[: len(MCQUANT)]) == MCQUANT
    objects = study.objects_of(IMAGE).set_index("object_id")
    labels = tifffile.imread(study.folder_of(IMAGE) / "labels.tif")
    # What mcquant itself asks scikit-image for.
    theirs = regionprops_table(
        labels,
        properties=(
            *("label", "centroid", "area", "axis_major_length", "axis_minor_length", "eccentricity", "solidity"),
            *("extent", "orientation"),
        ),
    )
    assert table["CellID"].tolist() == theirs["label"].tolist()
    names = dict(zip(MCQUANT[7:], tuple(theirs)[3:], strict=True))
    names |= {"X_centroid": "centroid-1", "Y_centroid": "centroid-0"}
    for name, property_ in names.items():
        np.testing.assert_allclose(table[name], theirs[property_], rtol=1e-6, atol=1e-6, err_msg=name)
    # pandas reads the last digit as it likes.
    np.testing.assert_allclose(table["HER2"], objects["her2_mean"], rtol=1e-15)
    assert table.loc[judged, "grade"] == 1
    assert table.loc[table["kind"] != "ctc", "grade"].isna().all()
    refused("export", study.path, "--as", "mcmicro", "-o", out, says=["there already", "--force"])


def test_cellprofiler_has_one_table_of_images_and_one_of_objects(study, judged, command, refused, tmp_path):
    out = tmp_path / "cp"
    ran = command("export", study.path, "--as", "cellprofiler", "-o", out)
    assert (ran.code, ran.err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["Cells.csv", "Image.csv"]
    images, cells = pd.read_csv(out / "Image.csv"), pd.read_csv(out / "Cells.csv")
    assert list(images.columns) == sorted(images.columns)
    assert list(cells.columns[:2]) == ["ImageNumber", "ObjectNumber"]
    assert list(cells.columns[2:]) == sorted(cells.columns[2:])
    assert images["ImageNumber"].tolist() == list(range(1, 9))
    assert cells.groupby("ImageNumber").size().tolist() == images["Count_Cells"].tolist()
    row = images.set_index("Metadata_Image").loc[IMAGE]
    assert (row["FileName_HER2"], row["PathName_HER2"], row["Frame_HER2"]) == ("frame_01.ome.tif", "P03", 0)
    assert str(tmp_path) not in (out / "Image.csv").read_text(encoding="utf-8")
    own = cells[cells["ImageNumber"] == row["ImageNumber"]].set_index("ObjectNumber")
    objects = study.objects_of(IMAGE).set_index("object_id")
    assert own.index.tolist() == objects.index.tolist()
    np.testing.assert_allclose(own["Intensity_MeanIntensity_HER2"], objects["her2_mean"], rtol=1e-15)
    np.testing.assert_allclose(own["AreaShape_EquivalentDiameter"] * 0.64, objects["diameter_um"])
    np.testing.assert_allclose(own["AreaShape_Center_X"], objects["x_px"])
    assert own["AreaShape_Orientation"].between(-90, 90).all()
    assert own.loc[judged, "Math_HER2_Grade"] == 1
    assert own["Classify_CTC"].sum() == (objects["kind"] == "ctc").sum()
    refused("export", study.path, "--as", "cellprofiler", "-o", out, says=["there already"])


def test_names_that_a_spreadsheet_would_run_are_guarded_and_stacks_have_frames():
    sample = {"image": "=A/stack.tif#3", "patient_id": "@P", "sample_id": "-1"}
    row = cellprofiler_image(sample, 2, 5).iloc[0]
    assert (row["Metadata_Image"], row["Metadata_Patient"], row["Metadata_Sample"]) == ("'=A/stack.tif#3", "'@P", "'-1")
    assert (row["FileName_CK"], row["PathName_CK"], row["Frame_CK"]) == ("stack.tif", "'=A", 2)
    assert cellprofiler_image({**sample, "image": "a.tif"}, 1, 0)["PathName_CK"].iloc[0] == "."


def test_a_frame_without_objects_has_a_header_only(study, command, tmp_path):
    folder = study.folder_of(IMAGE)
    for name in ("objects.parquet", "measured.parquet"):
        pd.read_parquet(folder / name).iloc[:0].to_parquet(folder / name, index=False)
    tifffile.imwrite(folder / "labels.tif", np.zeros((240, 320), np.uint16))
    for form in ("mcmicro", "cellprofiler"):
        assert command("export", study.path, "--as", form, "-o", tmp_path / form).code == 0
    index = pd.read_csv(tmp_path / "mcmicro" / "images.csv").set_index("image")["file"]
    empty = pd.read_csv(tmp_path / "mcmicro" / index[IMAGE])
    assert tuple(empty.columns[: len(MCQUANT)]) == MCQUANT
    assert empty.empty
    images = pd.read_csv(tmp_path / "cellprofiler" / "Image.csv").set_index("Metadata_Image")
    assert images.loc[IMAGE, "Count_Cells"] == 0
    (tmp_path / "qupath").write_text("a file", encoding="utf-8")
    assert command("export", study.path, "--as", "mcmicro", "-o", tmp_path / "qupath").code == 2
