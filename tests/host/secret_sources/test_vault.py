"""Vault is read over its own HTTP API, in both versions of its store, and its refusals are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.host.secret_sources import look_for, vault
from orchestrator.ports.secret_source import Looked, Place
from tests.host.secret_sources.vault_server import TOKEN, FakeVault, vault_server

KEY = "sk-from-the-vault-123"


@pytest.fixture
def store() -> FakeVault:
    secrets = {"secret/ai/openai": {"value": KEY, "other": "second-field-9"}, "old/openai": {"value": KEY}}
    return FakeVault(secrets={**secrets, "team/kv/openai": {"value": KEY}})


@pytest.fixture
def place(store: FakeVault, tmp_path: Path) -> Iterator[Place]:
    with vault_server(store) as address:
        yield Place(project=tmp_path, environ={"VAULT_ADDR": address, "VAULT_TOKEN": TOKEN, "HOME": str(tmp_path)})


def look(place: Place, said: object) -> Looked:
    return look_for({"vault": said}, "openai key", place)


def value(looked: Looked) -> str | None:
    return looked.secret.reveal() if looked.secret is not None else None


def changed(place: Place, **environ: str | None) -> Place:
    merged = {name: text for name, text in {**place.environ, **environ}.items() if text is not None}
    return Place(project=place.project, environ=merged)


@pytest.mark.parametrize("path", ["secret/ai/openai", "/secret/ai/openai/", "old/openai"])
def test_both_versions_of_the_store_are_read_by_the_path_people_type(place: Place, path: str) -> None:
    looked = look(place, path)
    assert (looked.status, value(looked)) == ("Found", KEY)


def test_a_field_may_be_named(place: Place) -> None:
    assert value(look(place, {"path": "secret/ai/openai", "key": "other"})) == "second-field-9"


def test_a_mount_of_several_parts_is_found(store: FakeVault, place: Place) -> None:
    store.mounts["team/kv"] = 2
    assert value(look(place, "team/kv/openai")) == KEY


@pytest.mark.parametrize("path", ["secret/ai/openai", "old/openai"])
def test_a_token_that_may_not_ask_for_the_version_reads_all_the_same(store: FakeVault, place: Place, path: str) -> None:
    store.may_ask_mounts = False
    assert value(look(place, path)) == KEY


def test_a_missing_path_and_a_missing_field_are_not_found(place: Place) -> None:
    looked = look(place, "secret/nothing")
    assert (looked.status, looked.detail) == ("Not Found", "Vault has nothing at secret/data/nothing")
    looked = look(place, {"path": "secret/ai/openai", "key": "password"})
    assert looked.status == "Not Found"
    assert looked.help == "its fields: other, value"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "403"),
        (503, "sealed or down (503)"),
        (501, "not initialised"),
        (429, "rate"),
        (500, "failed"),
        (400, "failed"),
    ],
)
def test_a_refusal_is_an_error_that_names_its_cause_and_no_word_of_the_answer(
    store: FakeVault, place: Place, status: int, said: str
) -> None:
    store.status = status
    looked = look(place, "secret/ai/openai")
    assert (looked.status, looked.secret) == ("Error", None)
    assert said in looked.detail
    assert TOKEN not in f"{looked.detail} {looked.help}"


def test_a_forbidden_path_is_an_error(store: FakeVault, place: Place) -> None:
    store.forbidden = {"secret/ai/openai"}
    looked = look(place, "secret/ai/openai")
    assert (looked.status, looked.detail) == ("Error", "Vault refuses secret/data/ai/openai (403)")


def test_a_wrong_token_is_an_error(place: Place) -> None:
    assert look(changed(place, VAULT_TOKEN="wrong"), "secret/ai/openai").status == "Error"


def test_a_vault_that_does_not_answer_is_given_up(
    store: FakeVault, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "REQUEST_S", 0.2)
    store.silent = True
    looked = look(place, "secret/ai/openai")
    assert (looked.status, looked.detail) == ("Error", "Vault did not answer within 0.2 s")


def test_a_vault_that_drips_is_given_up_too(store: FakeVault, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "TOTAL_S", 0.3)
    store.secrets["secret/ai/openai"]["padding"] = "x" * 4000
    store.dripping = True
    looked = look(place, "secret/ai/openai")
    store.release.set()
    assert (looked.status, looked.detail) == ("Error", "Vault did not answer in full within 0.3 s")


def test_a_vault_that_is_not_there_is_an_error(place: Place) -> None:
    looked = look(changed(place, VAULT_ADDR="http://127.0.0.1:1"), "secret/ai/openai")
    assert looked.status == "Error"
    assert "cannot be reached" in looked.detail


def test_without_an_address_or_a_token_nothing_is_configured(place: Place) -> None:
    assert look(changed(place, VAULT_ADDR=None), "x").detail == "VAULT_ADDR is not set"
    looked = look(changed(place, VAULT_TOKEN=None), "x")
    assert (looked.status, looked.detail) == ("Not Configured", "VAULT_TOKEN is not set")


def test_the_token_that_vaults_own_login_left_is_used(place: Place) -> None:
    kept = place.project / ".vault-token"
    kept.write_text(f"{TOKEN}\n")
    kept.chmod(0o600)
    assert value(look(changed(place, VAULT_TOKEN=None), "secret/ai/openai")) == KEY


def test_the_namespace_goes_with_every_request(store: FakeVault, place: Place) -> None:
    look(changed(place, VAULT_NAMESPACE="team-a"), "secret/ai/openai")
    assert {headers.get("X-Vault-Namespace") for _, headers in store.requests} == {"team-a"}


def test_the_token_follows_no_redirect(store: FakeVault, place: Place) -> None:
    thief = FakeVault()
    with vault_server(thief) as elsewhere:
        store.status, store.location = 307, f"{elsewhere}/v1/secret/data/ai/openai"
        looked = look(place, "secret/ai/openai")
    assert looked.status == "Error"
    assert thief.requests == []


def test_what_is_no_vault_is_an_error(store: FakeVault, place: Place) -> None:
    store.status = 200
    assert look(place, "secret/ai/openai").status == "Error"
