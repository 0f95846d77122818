from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from npe2 import PluginManager
from npe2.manifest.contributions import ContributionPoints
from qtpy.QtWidgets import QWidget

from cher2.images.files import IMAGE_SUFFIXES


@pytest.fixture(scope="module")
def manager():
    manager = PluginManager()
    manager.discover()
    manager.activate("cher2")
    return manager


@pytest.fixture(scope="module")
def manifest(manager):
    return manager.get_manifest("cher2")


def test_the_installed_manifest_is_the_one_of_the_source_tree():
    [entry] = entry_points(group="napari.manifest", name="cher2")
    package, _, name = entry.value.partition(":")
    installed = Path(__import__(package).__path__[0]) / name
    source = Path(__file__).parents[2] / "napari.yaml"
    assert installed.read_text() == source.read_text(), "reinstall: pip install -e . --no-deps"


def test_every_command_is_there_and_can_be_called(manager, manifest):
    assert manifest.name == "cher2"
    assert manifest.contributions.commands
    for command in manifest.contributions.commands:
        assert callable(manager.commands.get(command.id)), command.id


def test_every_contribution_is_known_to_npe2_and_names_a_known_command(manifest):
    # npe2 itself lets misspelt contributions and unknown commands pass.
    source = yaml.safe_load((Path(__file__).parents[2] / "napari.yaml").read_text())
    assert set(source) == {"name", "display_name", "contributions"}
    assert set(source["contributions"]) <= set(ContributionPoints.model_fields)
    commands = [command["id"] for command in source["contributions"]["commands"]]
    assert len(set(commands)) == len(commands)
    users = [item for kind in ("readers", "sample_data", "widgets") for item in source["contributions"][kind]]
    menus = [item for items in source["contributions"]["menus"].values() for item in items]
    assert {item["command"] for item in users} == set(commands)
    assert {item["command"] for item in menus} <= set(commands)


def test_every_menu_is_one_that_napari_lets_plugins_add_to(manifest):
    from napari._app_model.constants import MenuId

    for menu in manifest.contributions.menus:
        assert menu in {str(m) for m in MenuId.contributables()}


def test_the_reader_is_offered_every_image_file_and_no_folder(manifest):
    [reader] = manifest.contributions.readers
    assert not reader.accepts_directories
    assert {f"*{suffix}" for suffix in IMAGE_SUFFIXES} <= set(reader.filename_patterns)


def test_the_widgets_are_widgets(manager, manifest):
    found = {widget.display_name: manager.commands.get(widget.command) for widget in manifest.contributions.widgets}
    assert list(found) == ["Score image", "Review study", "Compare cohorts"]
    assert all(issubclass(kind, QWidget) for kind in found.values())
