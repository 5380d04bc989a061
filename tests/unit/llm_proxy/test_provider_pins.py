"""Which requests may carry a provider's key, and which provider's."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from provider_pins import ProviderPins, SteeredError

MODELS = yaml.safe_load((Path(__file__).parent / "config.yaml").read_text(encoding="utf-8"))["model_list"]
CALL = {"model": "openai/gpt-5", "api_base": "http://127.0.0.1:9911/v1"}


PINS = ProviderPins(MODELS)


@pytest.mark.parametrize("extra", [{}, {"custom_llm_provider": None}, {"custom_llm_provider": "openai"}, {"api_key": "the client's"}])
def test_a_configured_deployment_may_carry_its_providers_key(extra: dict[str, Any]) -> None:
    assert PINS.provider_for({**CALL, **extra}) == "openai"


def test_a_model_without_provider_needs_no_key() -> None:
    assert PINS.provider_for({"model": "demo/demo"}) is None


def test_a_model_with_a_key_and_without_an_address_is_refused_at_start() -> None:
    unpinned = {"model_name": "gpt-5", "litellm_params": {"model": "openai/gpt-5"}, "model_info": {"provider": "openai"}}
    with pytest.raises(ValueError, match="gpt-5"):
        ProviderPins([unpinned])


def test_a_model_of_two_providers_at_one_address_is_refused_at_start() -> None:
    other = {**MODELS[1], "model_info": {"provider": "another-account"}}
    with pytest.raises(ValueError, match="gpt-5"):
        ProviderPins([*MODELS, other])


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
def test_a_steered_request_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SteeredError):
        PINS.provider_for({**CALL, **change})
