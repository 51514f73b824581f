"""Package data is found in a checkout; `tests/packaging` holds the same against an installed wheel."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import NotFoundError
from orchestrator.host.resources import resource, resource_bytes, resource_folder, resource_names


def test_a_checkout_reads_the_folders_at_its_root(repository):
    for kind in ("schemas", "workflows", "config"):
        assert resource_folder(kind) == repository / kind


def test_names_lead_to_content():
    assert "delegates.schema.json" in resource_names("schemas", ".json")
    assert json.loads(resource_bytes("schemas", "delegates.schema.json"))["title"]


@pytest.mark.parametrize("name", ["delegate.schema.json", "../pyproject.toml", ".", ""])
def test_a_name_that_leads_nowhere_or_elsewhere_is_refused(name):
    with pytest.raises(NotFoundError) as error:
        resource("schemas", name)
    if name.startswith("delegate."):
        assert "`delegates.schema.json`" in (error.value.help or "")
