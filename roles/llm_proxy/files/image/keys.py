"""LiteLLM's `callbacks`: puts the provider's key into a request, once it is certain where the request goes."""

import os
from pathlib import Path
from typing import Any

import yaml
from litellm.exceptions import BadRequestError, ServiceUnavailableError
from litellm.integrations.custom_logger import CustomLogger
from litellm.types.utils import CallTypes

from attempt import CURRENT
from key_ring import NoKeyError
from provider_pins import ProviderPins, SteeredError


class KeyInjector(CustomLogger):
    """Replaces the placeholder `api_key` of the configuration, or what the client sent in its place."""

    def __init__(self, pins: ProviderPins) -> None:
        super().__init__()
        self.pins = pins

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: CallTypes | None) -> dict[str, Any]:
        """LiteLLM calls this with the arguments of the call, when the deployment is chosen and before anything is sent.

        Raises:
            BadRequestError: 400, the client tried to steer the request elsewhere.
            ServiceUnavailableError: 503, the provider has no key here, or the request did not come through the gate.
        """
        try:
            provider = self.pins.provider_for(kwargs)
            if provider is None:
                return kwargs
            if (attempt := CURRENT.get()) is None:
                raise NoKeyError("Only a request that came through the gate gets a key")
            return {**kwargs, "api_key": attempt.key_for(provider).secret}
        except SteeredError as error:
            raise BadRequestError(str(error), model=kwargs["model"], llm_provider="") from None
        except NoKeyError as error:
            raise ServiceUnavailableError(str(error), model=kwargs["model"], llm_provider="") from None


def _from_environment() -> KeyInjector:
    config = yaml.safe_load(Path(os.environ["CONFIG_FILE_PATH"]).read_text(encoding="utf-8"))
    return KeyInjector(ProviderPins(config["model_list"]))


injector = _from_environment()
