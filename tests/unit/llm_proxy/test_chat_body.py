"""Which chat requests a keyless caller may make."""

import json
import time
from typing import Any

import pytest

from body import MARK, MAX_DEPTH, MAX_MARKS, MAX_TEXT_MARKS, checked_chat
from refusal import RefusedError

MODELS = ["demo", "gpt-5"]
USER = {"role": "user", "content": "hello"}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
CALL = {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
TOOL = {"type": "function", "function": {"name": "bash", "description": "runs", "parameters": {"type": "object", "properties": {}}}}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "demo", "messages": [USER], **fields}


def said(*parts: Any) -> dict[str, Any]:
    return request(messages=[{"role": "user", "content": list(parts)}])


def refusal(body: Any) -> RefusedError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RefusedError) as caught:
        checked_chat(raw, MODELS)
    return caught.value


ROUND_TRIP = [
    {"role": "system", "content": "be good", "cache_control": {"type": "ephemeral"}},
    USER,
    {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [CALL]},
    {"role": "assistant", "content": None, "tool_calls": [{**CALL, "cache_control": {"type": "ephemeral"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"},
]


@pytest.mark.parametrize(
    "body",
    [
        request(),
        request(messages=ROUND_TRIP, tools=[TOOL], tool_choice="auto", stream=True, stream_options={"include_usage": True}),
        request(max_tokens=1, temperature=0, top_p=0.5, reasoning_effort="high", verbosity="low"),
        said({"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}}, {"type": "image_url", "image_url": {"url": IMAGE}}),
        said({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        said({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}),
    ],
)
def test_what_opencode_sends_passes_unchanged(body: dict[str, Any]) -> None:
    assert json.loads(checked_chat(json.dumps(body).encode(), MODELS)) == body


STEERING = """
api_base base_url api_key api_version custom_llm_provider user_config model_list fallbacks context_window_fallbacks
content_policy_fallbacks default_fallbacks metadata litellm_metadata extra_body extra_headers headers default_headers extra_query
mock_response mock_tool_calls mock_timeout mock_testing_fallbacks litellm_params guardrails cache caching ttl no-log tags user
num_retries max_retries timeout stream_timeout request_timeout deployment_id organization vertex_project vertex_location
vertex_credentials aws_access_key_id aws_bedrock_runtime_endpoint aws_region_name langfuse_host langfuse_secret_key
web_search_options server_url prompt_id prompt_variables litellm_session_id litellm_trace_id litellm_credential_name
use_litellm_proxy proxy_server_request model_info router_settings input_cost_per_token azure_endpoint azure_ad_token region_name
drop_params allowed_openai_params additional_drop_params response_format functions function_call n seed stop logit_bias logprobs
service_tier store modalities audio prediction parallel_tool_calls max_completion_tokens thinking callbacks success_callback
logger_fn ssl_verify client shared_session priority secret_fields
""".split()  # noqa: SIM905


@pytest.mark.parametrize("value", ["http://evil.example", '{"api_base": "http://evil.example"}', {"api_base": "x"}, None, [], True])
@pytest.mark.parametrize("name", [*STEERING, "", "Model", "model ", "messages\u0000", "MESSAGES", "model\u200b"])
def test_a_field_that_opencode_does_not_send_is_refused_by_its_name(name: str, value: Any) -> None:
    error = refusal(request(**{name: value}))
    assert (error.status, error.param, error.code) == (400, name, "unknown_parameter")
    assert name in str(error)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (request(stream_options={"api_base": "x"}), "stream_options.api_base"),
        (request(messages=[{**USER, "api_base": "x"}]), "messages[0].api_base"),
        (request(messages=[{**USER, "tool_calls": [CALL]}]), "messages[0].tool_calls"),
        (request(messages=[{**USER, "name": "x"}]), "messages[0].name"),
        (said({"type": "text", "text": "x", "url": "x"}), "messages[0].content[0].url"),
        (said({"type": "image_url", "image_url": {"url": IMAGE, "format": "x"}}), "messages[0].content[0].image_url.format"),
        (said({"type": "file", "file": {"file_data": "x", "file_id": "https://x"}}), "messages[0].content[0].file.file_data"),
        (said({"type": "file", "file": {"file_id": "https://x"}}), "messages[0].content[0].file.file_id"),
        (request(tools=[{**TOOL, "server_url": "http://x"}]), "tools[0].server_url"),
        (request(tools=[{"type": "mcp", "server_url": "http://x"}]), "tools[0].type"),
        (request(tools=[{"type": "web_search"}]), "tools[0].type"),
        (request(tools=[{"type": "function", "function": {"name": "a", "api_base": "x"}}]), "tools[0].function.api_base"),
        (request(messages=[{"role": "assistant", "tool_calls": [{**CALL, "x": 1}]}]), "messages[0].tool_calls[0].x"),
        (request(messages=[{**USER, "cache_control": {"type": "ephemeral", "x": 1}}]), "messages[0].cache_control.x"),
    ],
)
def test_a_nested_field_that_opencode_does_not_send_is_refused_by_its_name(body: dict[str, Any], param: str) -> None:
    assert refusal(body).param == param


@pytest.mark.parametrize(
    "address",
    ["http://x/a.png", "https://x/a.png", "file:///etc/passwd", "gs://b/x", "s3://b/x", " data:image/png;base64,", "DATA:image/png;base64,",
     "", "/etc/passwd", "data:text/html;base64,", "data:image/png,http://x", "//x", "data:image/png;base64,https://x/a.png",
     "data:image/png;base64,iVBO\nRw0=", "data:image/png;base64,gs://x", "data:image/png;x=1;base64,"],
)  # fmt: skip
def test_an_image_is_sent_along_and_never_fetched(address: str) -> None:
    error = refusal(said({"type": "image_url", "image_url": {"url": address}}))
    assert (error.status, error.param) == (400, "messages[0].content[0].image_url.url")
    error = refusal(said({"type": "file", "file": {"file_data": address.replace("image/png", "x").replace("text/html", "x")}}))
    assert (error.status, error.param) == (400, "messages[0].content[0].file.file_data")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ["demo"]}, "model"),
        ({"model": None}, "model"),
        ({"messages": "hello"}, "messages"),
        ({"messages": {"0": USER}}, "messages"),
        ({"messages": [json.dumps(USER)]}, "messages[0]"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": IMAGE}]}]}, "messages[0].content[0].image_url"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": "[]"}]}, "messages[0].tool_calls"),
        ({"tools": json.dumps([TOOL])}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": "{}"}}]}, "tools[0].function.parameters"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": '{"include_usage": true}'}, "stream_options"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "0"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": False}, "top_p"),
        ({"reasoning_effort": {"effort": "high"}}, "reasoning_effort"),
        ({"reasoning_effort": "a lot"}, "reasoning_effort"),
    ],
)
def test_a_value_of_another_type_is_refused(fields: dict[str, Any], param: str) -> None:
    error = refusal(request(**fields))
    assert (error.status, error.param) == (400, param)


@pytest.mark.parametrize("name", ["model", "messages"])
def test_a_field_that_has_to_be_there_is_missed(name: str) -> None:
    body = request()
    del body[name]
    assert refusal(body).param == name


@pytest.mark.parametrize("model", ["openai/gpt-5", "gpt-5,demo", "gpt-*", "*", "GPT-5", "demo ", "", "x" * 1000])
def test_a_model_is_one_of_the_names_and_nothing_like_it(model: str) -> None:
    error = refusal(request(model=model))
    assert (error.status, error.param, error.code) == (404, "model", "model_not_found")
    assert "demo, gpt-5" in str(error)
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"null", b'"{}"', b"{", b"{}x", b"model=demo", b"\xff\xfe{}", b'{"a": "\xff"}', b"\xef\xbb\xbf{}", b"{'a': 1}",
        b'{"model": "demo", "model": "demo", "messages": []}',
        b'{"model": "demo", "messages": [{"role": "user", "role": "user", "content": "x"}]}',
        b'{"model": "demo", "messages": [], "temperature": NaN}',
        b'{"model": "demo", "messages": [], "temperature": -Infinity}',
        b'{"model": "demo", "messages": [], "temperature": 1e999}',
        b'{"model": "demo", "messages": [], "tools": [{"type": "function", "function": {"name": "a", "parameters": {"a": 1e999}}}]}',
        b'{"model": "demo", "messages": [], "max_tokens": ' + b"9" * 5000 + b"}",
        b"[" * 100_000, b'{"a":' * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_one_strict_json_object_is_refused(raw: bytes) -> None:
    assert refusal(raw).status == 400


@pytest.mark.parametrize(("depth", "passes"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_a_schema_is_nested_only_so_deep(depth: int, passes: bool) -> None:
    schema: dict[str, Any] = {"type": '[{"\\"[{'}
    for _ in range(depth - 5):
        schema = {"a": schema}
    body = json.dumps(request(tools=[{"type": "function", "function": {"name": "a", "parameters": schema}}])).encode()
    if passes:
        assert checked_chat(body, MODELS)
    else:
        assert "deeper" in str(refusal(body))


@pytest.mark.parametrize(
    "raw", [b"[" + b"[]," * MAX_MARKS + b"[]]", b"]" * (MAX_MARKS + 1), b'""' * MAX_MARKS, b"[" + b"1," * MAX_MARKS + b"1]"]
)
def test_a_body_that_would_become_huge_is_refused_before_it_is_built(raw: bytes) -> None:
    assert "too many" in str(refusal(raw))


def test_a_body_that_is_not_utf_8_is_told_so() -> None:
    assert "UTF-8" in str(refusal(b'{"a": "\xff"}'))


def test_a_list_has_a_length() -> None:
    assert checked_chat(json.dumps(request(messages=[USER] * 10_000)).encode(), MODELS)
    assert refusal(request(messages=[USER] * 10_001)).param == "messages"


def test_brackets_and_commas_in_a_text_are_not_counted() -> None:
    text = '[{,\\"' * MAX_MARKS
    assert checked_chat(json.dumps(said({"type": "text", "text": text})).encode(), MODELS)


def called(*arguments: str) -> dict[str, Any]:
    """What a model says that calls a tool as often as there are arguments."""
    calls = [{"id": f"call_{number}", "function": {"name": "bash", "arguments": one}} for number, one in enumerate(arguments)]
    return {"role": "assistant", "content": "so", "tool_calls": calls}


def answered(content: str, number: int = 0) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def lists(count: int) -> str:
    return '{"a": [' + ",".join(["[]"] * count) + "]}"


@pytest.mark.parametrize(
    "messages",
    [[called(lists(9_000))], [answered(lists(9_000))], [answered(f" \n\t[{lists(9_000)}")], [called(lists(4_000), lists(5_000))],
     [called("{}"), answered("["), answered(lists(9_000)), called("")], [called("\ud800" + lists(9_000))]],
)  # fmt: skip
def test_json_in_a_text_that_is_parsed_counts_for_what_it_becomes(messages: list[Any]) -> None:
    counted: list[int] = []
    assert checked_chat(json.dumps(request(messages=[USER, *messages])).encode(), MODELS, counted.append)
    assert sum(counted) > MARK * 3 * 9_000


@pytest.mark.parametrize("text", [f"see {lists(MAX_MARKS)}", json.dumps({"a": lists(MAX_MARKS)}), json.dumps([lists(MAX_MARKS)])])
def test_what_stays_a_text_is_not_counted(text: str) -> None:
    counted: list[int] = []
    body = request(messages=[USER, called("{}"), answered(text), {"role": "assistant", "content": lists(MAX_MARKS)}])
    assert checked_chat(json.dumps(body).encode(), MODELS, counted.append)
    assert sum(counted) < MARK * 100


@pytest.mark.parametrize(
    "messages",
    [[called(lists(MAX_TEXT_MARKS // 3))], [answered(lists(MAX_TEXT_MARKS // 3))], [called("{}")] + [answered(lists(10_000))] * 34,
     [called(json.dumps(["", ""] * (MAX_TEXT_MARKS // 2)))]],
)  # fmt: skip
def test_json_in_texts_that_would_become_huge_is_refused(messages: list[Any]) -> None:
    error = refusal(request(messages=[USER, *messages]))
    assert error.status == 400
    assert "too many values" in str(error)


@pytest.mark.parametrize(
    "messages",
    [
        [called(*["{}"] * 600), *[answered("ok", number) for number in range(600)]],
        [called(*["{}"] * 200), *[answered("ok", number % 200) for number in range(2_500)]],
        [called("{}")] * 700,
        [called("{}"), {"role": "system", "content": "so"}] * 700,
        [called(*["{}"] * 200), USER] * 20,
        [called(*[lists(650)] * 200)],
        [called("x" * 9_000_000)],
        [called(*["x" * 100_000] * 90)],
    ],
)
def test_calls_that_would_take_long_to_tell_apart_are_refused(messages: list[Any]) -> None:
    error = refusal(request(messages=[USER, *messages]))
    assert (error.status, error.param) == (400, "messages")
    assert "tool calls" in str(error)


@pytest.mark.parametrize(
    ("turns", "calls", "arguments", "result"),
    [(4_000, 1, 200, 1_000), (1_000, 3, 1_000, 1_000), (400, 10, 500, 1_000), (20, 100, 500, 500), (60, 1, 50_000, 100)],
)
def test_the_longest_sessions_pass(turns: int, calls: int, arguments: int, result: int) -> None:
    spoken = called(*[json.dumps({"path": "a.py", "content": "x = [1, 2]\n" * (arguments // 11)})] * calls)
    listing = json.dumps([{"name": "a.py", "lines": [1, 2]}] * (result // 35))
    turn = [spoken, *[answered(listing, number) for number in range(calls)]]
    assert checked_chat(json.dumps(request(messages=[USER, *turn * turns])).encode(), MODELS)


def test_no_body_takes_long_to_refuse() -> None:
    started = time.monotonic()
    for raw in (b'"' + b'\\"' * 1_000_000, b'"' * 2_000_000, b"\\" * 2_000_000, b'{"a":"' + b"\\" * 2_000_001):
        refusal(raw)
    assert time.monotonic() - started < 2
