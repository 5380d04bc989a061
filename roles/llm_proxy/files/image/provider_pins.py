"""Which provider's key a request may carry. Standard library only."""

from collections.abc import Iterable, Mapping
from typing import Any

# Arguments of LiteLLM's that choose the path, or the Host and other headers, that a request goes out with. OpenCode sends none of them.
STEERING = frozenset({"headers", "extra_headers", "default_headers", "extra_query", "default_query", "deployment_id"})


class SteeredError(Exception):
    """The request would not go where the configuration says that its model lives."""


class ProviderPins:
    """The providers' keys, bound to the addresses in LiteLLM's `model_list`.

    A model's `model_info.provider` names the provider; a model without it needs no key.

    Raises:
        ValueError: a model that needs a key has no `api_base`, so that nothing would say where the key may go; or two
            providers' keys belong to the same model at the same address.
    """

    def __init__(self, model_list: Iterable[Mapping[str, Any]]) -> None:
        self.pins: dict[tuple[str, str | None], str | None] = {}
        for entry in model_list:
            target = entry["litellm_params"]
            provider = entry.get("model_info", {}).get("provider")
            if provider and not target.get("api_base"):
                raise ValueError(f"The model {entry['model_name']} needs a key, and so an api_base")
            if self.pins.setdefault((target["model"], target.get("api_base")), provider) != provider:
                raise ValueError(f"The model {entry['model_name']} is another provider's too, at the same address")

    def provider_for(self, call: Mapping[str, Any]) -> str | None:
        """The provider whose key `call`, the arguments of a LiteLLM completion, may carry; None for a model without one.

        Raises:
            SteeredError: model, address and LiteLLM provider are not, together, one of the configured deployments, or an
                argument chooses how the request is addressed.
        """
        if chosen := STEERING.intersection(call):
            raise SteeredError(f"The request may not choose {', '.join(sorted(chosen))}")
        target = call["model"], call.get("api_base")
        litellm_provider = target[0].partition("/")[0]
        if target not in self.pins or call.get("custom_llm_provider") not in (None, litellm_provider):
            raise SteeredError("The request asks for an address or a provider other than the one configured for its model")
        return self.pins[target]
