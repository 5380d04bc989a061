"""Which requests may carry a provider's key, and which key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from provider_keys import NoKeyError, ProviderKeys, SteeredError

MODELS = yaml.safe_load((Path(__file__).parent / "config.yaml").read_text(encoding="utf-8"))["model_list"]
CALL = {"model": "openai/gpt-5", "api_base": "http://127.0.0.1:9911/v1"}


@pytest.fixture
def keys(tmp_path: Path) -> ProviderKeys:
    return ProviderKeys(tmp_path, MODELS)


@pytest.mark.parametrize("extra", [{}, {"custom_llm_provider": None}, {"custom_llm_provider": "openai"}, {"api_key": "the client's"}])
def test_a_configured_deployment_may_carry_its_providers_key(keys: ProviderKeys, extra: dict[str, Any]) -> None:
    assert keys.provider_for({**CALL, **extra}) == "openai"


def test_a_model_without_provider_needs_no_key(keys: ProviderKeys) -> None:
    assert keys.provider_for({"model": "demo/demo"}) is None


def test_a_model_with_a_key_and_without_an_address_is_refused_at_start(tmp_path: Path) -> None:
    unpinned = {"model_name": "gpt-5", "litellm_params": {"model": "openai/gpt-5"}, "model_info": {"provider": "openai"}}
    with pytest.raises(ValueError, match="gpt-5"):
        ProviderKeys(tmp_path, [unpinned])


def test_a_model_of_two_providers_at_one_address_is_refused_at_start(tmp_path: Path) -> None:
    other = {**MODELS[1], "model_info": {"provider": "another-account"}}
    with pytest.raises(ValueError, match="gpt-5"):
        ProviderKeys(tmp_path, [*MODELS, other])


@pytest.mark.parametrize(
    "change",
    [
        {"api_base": "http://attacker/v1"},
        {"api_base": "http://127.0.0.1:9911/v1/"},
        {"api_base": None},
        {"custom_llm_provider": "anthropic"},
        {"custom_llm_provider": ""},
        {"model": "anthropic/gpt-5"},
        {"model": "demo/demo"},
        {"model": "gpt-5"},
        {"headers": {"Host": "evil.example"}},
        {"extra_headers": {"Host": "evil.example"}},
        {"deployment_id": "elsewhere"},
    ],
)
def test_a_steered_request_is_refused(keys: ProviderKeys, change: dict[str, Any]) -> None:
    with pytest.raises(SteeredError):
        keys.provider_for({**CALL, **change})


def test_a_key_is_read_anew_and_without_its_newline(keys: ProviderKeys) -> None:
    for content in ("sk-one\n", "sk-two"):
        (keys.folder / "openai").write_text(content, encoding="ascii")
        assert keys.read("openai") == content.strip()


@pytest.mark.parametrize("content", [None, b"", b"\n", "é".encode()])
def test_a_missing_or_unusable_key_is_an_error_that_names_the_provider_alone(
    keys: ProviderKeys, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ambient")
    if content is not None:
        (keys.folder / "openai").write_bytes(content)
    with pytest.raises(NoKeyError, match="provider openai") as caught:
        keys.read("openai")
    assert str(keys.folder) not in str(caught.value)
