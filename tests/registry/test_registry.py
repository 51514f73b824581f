import subprocess
import sys

import pytest

from orchestrator import registry
from orchestrator.errors import NotFoundError


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    package = tmp_path / "some_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plain.py").write_text("PLUGIN = 'plain'\n")
    (package / "two_words.py").write_text("PLUGIN = 'two words'\n")
    (package / "_support.py").write_text("raise AssertionError('never imported')\n")
    (package / "a_package").mkdir()
    (package / "a_package" / "__init__.py").write_text("")
    (package / "broken.py").write_text("raise ValueError('its own fault')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.names.cache_clear()
    return "some_plugins"


def test_names_are_the_files_as_users_write_them_without_the_supporting_ones(plugins):
    assert registry.names(plugins) == ("broken", "plain", "two-words")


def test_a_plug_in_is_found_by_either_spelling(plugins):
    assert registry.load(plugins, "two-words", "PLUGIN") == "two words"
    assert registry.load(plugins, "two_words", "PLUGIN") == "two words"


def test_an_unknown_name_suggests_the_near_one(plugins):
    with pytest.raises(NotFoundError, match="unknown flavour 'plian'") as caught:
        registry.find(plugins, "plian", noun="flavour")
    assert caught.value.help == "did you mean `plain`?"


@pytest.mark.parametrize("name", ["_support", "plain.sub", "", "../plain", "__init__"])
def test_what_is_no_plug_in_is_not_imported(plugins, name):
    with pytest.raises(NotFoundError):
        registry.find(plugins, name)


def test_a_plug_in_that_fails_to_import_keeps_its_own_error(plugins):
    with pytest.raises(ValueError, match="its own fault"):
        registry.find(plugins, "broken")


def test_listing_names_imports_no_plug_in():
    code = (
        "import sys; from orchestrator import registry; registry.names('orchestrator.providers');"
        "assert not [m for m in sys.modules if m.startswith('orchestrator.providers.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
