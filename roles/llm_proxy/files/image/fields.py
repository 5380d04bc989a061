"""The fields that a caller without the master key may send in POST /v1/chat/completions. Every other field is refused.

LiteLLM takes hundreds of fields, and many steer a request: to another address, another provider, another key, a file.
Named here is what OpenCode sends, as tests/opencode records it, and nothing else: a new OpenCode that sends more fails
that test. No field here names an address or a provider; files travel inside the request, as data: URLs.
"""

import re

from shapes import AnyObject, Either, Flag, ListOf, Null, Number, OneOf, Record, Tagged, Text

TEXT = Text()
NAME = Text(re.compile(r"[A-Za-z0-9_.:/-]{1,256}\Z"), "a name of letters, digits and _ . : / -, at most 256")
# LiteLLM and providers would fetch any other address, and LiteLLM also one that stands behind `base64,`.
BASE64_CHARS = r"[A-Za-z0-9+/]*={0,2}\Z"
IMAGE = Text(re.compile(r"data:image/[a-z0-9.+-]{1,80};base64," + BASE64_CHARS), "an image as a data: URL (data:image/png;base64,...)")
FILE = Text(
    re.compile(r"data:[a-z0-9]{1,80}/[a-z0-9.+-]{1,80};base64," + BASE64_CHARS), "a file as a data: URL (data:application/pdf;base64,...)"
)
BASE64 = Text(re.compile(BASE64_CHARS), "base64")

# OpenCode asks Anthropic's models to cache, on whatever comes last in a message.
CACHE_CONTROL = Record({"type": OneOf(("ephemeral",))}, frozenset({"type"}))

CONTENT_PART = Tagged(
    "type",
    {
        "text": Record({"type": TEXT, "text": TEXT, "cache_control": CACHE_CONTROL}, frozenset({"text"})),
        "image_url": Record(
            {"type": TEXT, "image_url": Record({"url": IMAGE}, frozenset({"url"})), "cache_control": CACHE_CONTROL},
            frozenset({"image_url"}),
        ),
        "input_audio": Record(
            {
                "type": TEXT,
                "input_audio": Record({"data": BASE64, "format": OneOf(("wav", "mp3"))}, frozenset({"data", "format"})),
                "cache_control": CACHE_CONTROL,
            },
            frozenset({"input_audio"}),
        ),
        "file": Record(
            {
                "type": TEXT,
                "file": Record({"filename": TEXT, "file_data": FILE}, frozenset({"file_data"})),
                "cache_control": CACHE_CONTROL,
            },
            frozenset({"file"}),
        ),
    },
)

TOOL_CALL = Record(
    {
        "id": TEXT,
        "type": OneOf(("function",)),
        # The arguments are JSON in a string: the model's words, which go back to it as they came.
        "function": Record({"name": TEXT, "arguments": TEXT}, frozenset({"name", "arguments"})),
        "cache_control": CACHE_CONTROL,
    },
    frozenset({"id", "function"}),
)

MESSAGE = Tagged(
    "role",
    {
        "system": Record({"role": TEXT, "content": TEXT, "cache_control": CACHE_CONTROL}, frozenset({"content"})),
        "user": Record(
            {"role": TEXT, "content": Either((TEXT, ListOf(CONTENT_PART))), "cache_control": CACHE_CONTROL}, frozenset({"content"})
        ),
        "assistant": Record(
            {
                "role": TEXT,
                "content": Either((TEXT, Null())),
                "reasoning_content": TEXT,
                "tool_calls": ListOf(TOOL_CALL),
            }
        ),
        "tool": Record(
            {"role": TEXT, "content": TEXT, "tool_call_id": TEXT, "cache_control": CACHE_CONTROL}, frozenset({"content", "tool_call_id"})
        ),
    },
)

TOOL = Record(
    {
        "type": OneOf(("function",)),
        # The parameters are a JSON schema, for the model to read; what it refers to, schemas.py counts.
        "function": Record({"name": NAME, "description": TEXT, "parameters": AnyObject(), "strict": Flag()}, frozenset({"name"})),
    },
    frozenset({"type", "function"}),
)

CHAT = Record(
    {
        "model": TEXT,
        "messages": ListOf(MESSAGE),
        "tools": ListOf(TOOL),
        "tool_choice": OneOf(("auto", "none", "required")),
        "stream": Flag(),
        "stream_options": Record({"include_usage": Flag()}),
        "max_tokens": Number(1, 10_000_000, whole=True),
        "temperature": Number(0, 2),
        "top_p": Number(0, 1),
        "reasoning_effort": OneOf(("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        "verbosity": OneOf(("low", "medium", "high")),
    },
    frozenset({"model", "messages"}),
)
