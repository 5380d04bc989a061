"""LiteLLM's `custom_provider_map`: the provider `demo`, a model without key or network for a first look at the stack."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

from litellm import CustomLLM, Message, ModelResponse, Usage
from litellm.types.llms.openai import ChatCompletionToolCallChunk
from litellm.types.utils import GenericStreamingChunk

from demo_script import ToolCall, reply, usage, words

SECONDS_A_WORD = 0.03


class DemoModel(CustomLLM):
    """Says what demo_script decides: at once, or word by word at a pace that a person sees."""

    async def acompletion(
        self, *, messages: list[dict[str, Any]], optional_params: dict[str, Any], model_response: ModelResponse, **_: Any
    ) -> ModelResponse:
        """Answer a chat in one piece."""
        answer = reply(messages, optional_params.get("tools") or [])
        choice = model_response.choices[0]
        if isinstance(answer, ToolCall):
            choice.message = Message(tool_calls=[_call(answer)])
            choice.finish_reason = "tool_calls"
        else:
            choice.message = Message(content=answer)
            choice.finish_reason = "stop"
        model_response.usage = Usage(**usage(messages, answer))
        return model_response

    async def astreaming(
        self, *, messages: list[dict[str, Any]], optional_params: dict[str, Any], **_: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        """Answer a chat as a stream."""
        answer = reply(messages, optional_params.get("tools") or [])
        if isinstance(answer, ToolCall):
            yield _chunk(tool_use=_call(answer))
            yield _chunk(finish_reason="tool_calls", usage=usage(messages, answer))
            return
        for word in words(answer):
            yield _chunk(text=word)
            await asyncio.sleep(SECONDS_A_WORD)
        yield _chunk(finish_reason="stop", usage=usage(messages, answer))


def _call(wanted: ToolCall) -> ChatCompletionToolCallChunk:
    function = {"name": wanted.name, "arguments": wanted.json}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function, "index": 0}


def _chunk(text: str = "", tool_use: Any = None, finish_reason: str = "", usage: Any = None) -> GenericStreamingChunk:
    return {
        "text": text,
        "tool_use": tool_use,
        "is_finished": bool(finish_reason),
        "finish_reason": finish_reason,
        "usage": usage,
        "index": 0,
    }


model = DemoModel()
