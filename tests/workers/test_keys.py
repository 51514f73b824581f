"""A worker's key is found where `auth` says, its state told in four words, and its value never put into a text."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.ai.pool import ProviderPool
from orchestrator.errors import CredentialsError
from orchestrator.ports.secret_source import Secret
from orchestrator.workers.keys import KeyRing, key_status
from tests.host.secret_sources.vault_server import TOKEN, FakeVault, vault_server

KEY = "sk-worker-key-0123456789"


def worker(**auth: Any) -> dict[str, Any]:
    return {"provider": "openai", "model_name": "m", **({"auth": auth} if auth else {})}


@pytest.mark.parametrize(
    ("definition", "environ", "status"),
    [
        (worker(), {"OPENAI_API_KEY": KEY}, "Found"),
        (worker(), {}, "Not Found"),
        (worker(env_var="MINE"), {"MINE": KEY}, "Found"),
        (worker(env_var="MINE"), {"OPENAI_API_KEY": KEY}, "Not Found"),
        (worker(inline=KEY), {}, "Found"),
        (worker(none=True), {}, "Not Configured"),
        ({**worker(), "auth": "none"}, {}, "Not Configured"),
        (worker(config_path="key"), {}, "Found"),
        (worker(config_path="open"), {}, "Error"),
        (worker(config_path="lost"), {}, "Not Found"),
        (worker(vault="secret/x"), {}, "Not Configured"),
        ({"provider": "google"}, {"GEMINI_API_KEY": KEY}, "Found"),
        ({"provider": "embedded"}, {}, "Not Configured"),
        ({"provider": "local"}, {}, "Not Configured"),
        ({"provider": "nobody"}, {}, "Error"),
    ],
)
def test_the_state_of_a_key_is_one_of_four_words_and_never_the_key(
    tmp_path: Path, definition: dict[str, Any], environ: dict[str, str], status: str
) -> None:
    for name, mode in (("key", 0o600), ("open", 0o644)):
        (tmp_path / name).write_text(KEY)
        (tmp_path / name).chmod(mode)
    told, detail = key_status(definition, environ, tmp_path)
    assert told == status
    assert KEY not in detail


def test_a_key_is_looked_for_once_and_anew_when_a_run_starts(tmp_path: Path) -> None:
    kept = tmp_path / "key"
    kept.write_text(KEY)
    kept.chmod(0o600)
    ring = KeyRing({}, tmp_path)
    definition = worker(config_path="key")
    assert ring.key(definition) == Secret("openai key", KEY)
    kept.write_text(KEY + "-next")
    assert ring.key(definition) == Secret("openai key", KEY)
    assert ring.key(definition, fresh=True) == Secret("openai key", KEY + "-next")
    kept.unlink()
    with pytest.raises(CredentialsError, match="there is no file key"):
        ring.key(definition, fresh=True)


def test_a_provider_is_given_the_key_and_two_workers_with_one_key_share_its_connections(tmp_path: Path) -> None:
    pool = ProviderPool({"OPENAI_API_KEY": "sk-another-one"}, keys=KeyRing({}, tmp_path))
    options = pool.options({**worker(inline=KEY), "definition_id": "a"})
    assert pool.key("openai", options) == Secret("openai key", KEY)
    assert options == pool.options({**worker(inline=KEY), "definition_id": "b"})
    assert options != pool.options(worker(inline=KEY + "-other"))
    keyless = pool.options(worker(none=True))
    assert pool.key("openai", keyless) is None
    pool.provider("openai").check("m", keyless)
    assert KEY not in repr(options)


async def test_a_key_whose_source_answers_slowly_holds_nobody_up(tmp_path: Path) -> None:
    vault = FakeVault(secrets={"secret/ai/openai": {"value": KEY}}, silent=True)
    with vault_server(vault) as address:
        environ = {"VAULT_ADDR": address, "VAULT_TOKEN": TOKEN, "HOME": str(tmp_path)}
        pool = ProviderPool(environ, keys=KeyRing(environ, tmp_path))
        slow = worker(vault="secret/ai/openai")
        looking = [asyncio.create_task(pool.find_key(slow)) for _ in range(5)]
        assert await asyncio.to_thread(vault.asked.wait, 10)  # the loop goes on meanwhile
        assert not any(one.done() for one in looking)
        vault.silent = False
        vault.release.set()
        await asyncio.wait_for(asyncio.gather(*looking), 10)
        asked = len(vault.requests)
        assert asked == 2, "one of the five asked: for the version, and for the secret"
        assert pool.options(slow).key == Secret("openai key", KEY)
        await pool.find_key(slow)
        assert len(vault.requests) == asked


def test_a_source_that_was_down_is_asked_again(tmp_path: Path) -> None:
    vault = FakeVault(secrets={"secret/ai/openai": {"value": KEY}}, status=503)
    with vault_server(vault) as address:
        ring = KeyRing({"VAULT_ADDR": address, "VAULT_TOKEN": TOKEN, "HOME": str(tmp_path)}, tmp_path)
        with pytest.raises(CredentialsError, match="sealed or down"):
            ring.key(worker(vault="secret/ai/openai"))
        vault.status = 0
        assert ring.key(worker(vault="secret/ai/openai")) == Secret("openai key", KEY)
