"""The one published port serves its own page and refuses everyone else's."""

import pytest
from stack import Stack
from suite import control


def page(stack: Stack, path: str = "") -> str:
    """Return the URL of the gateway as its own server calls it."""
    [binding] = stack.containers["gateway"]["HostConfig"]["PortBindings"]["3000/tcp"]
    return f"http://localhost:{binding['HostPort']}/{path}"


def port(stack: Stack) -> str:
    """Return the port that the gateway is published at."""
    return page(stack).rsplit(":")[-1].strip("/")


@control("host-check")
def test_it_answers_to_its_own_names(stack: Stack) -> None:
    """Calls it as people do, so that the refusals mean something."""
    names = [f"{name}:{port(stack)}" for name in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST")]
    assert stack.statuses([["--header", f"Host: {name}", page(stack)] for name in names]) == ["200"] * len(names)


@control("host-check")
def test_a_name_that_was_rebound_to_it_is_refused(stack: Stack) -> None:
    """Calls it by names that lead here all the same, as DNS rebinding does."""
    names = [
        "evil.example",
        f"evil.example:{port(stack)}",
        f"localhost.evil.example:{port(stack)}",
        f"127.0.0.1.nip.io:{port(stack)}",
        "frontend:3000",
        "10.0.0.1",
        "0.0.0.0",
    ]
    assert (
        stack.statuses([["--header", f"Host: {name}", page(stack, path)] for name in names for path in ("", "api/events")])
        == ["421"] * len(names) * 2
    )


@control("origin-check")
def test_another_origins_page_is_refused(stack: Stack) -> None:
    """Calls it as a page of another origin does: by every method, for events, and for a web socket."""
    origins = [
        "http://evil.example",
        f"http://localhost:{int(port(stack)) + 1}",
        f"https://localhost:{port(stack)}",
        "http://localhost",
        "null",
        "file://",
    ]
    requests = [
        ["--request", method, "--header", f"Origin: {origin}", page(stack, "api/session")]
        for origin in origins
        for method in ("GET", "POST", "OPTIONS")
    ]
    upgrade = [
        "--http1.1",
        "--header",
        "Connection: Upgrade",
        "--header",
        "Upgrade: websocket",
        "--header",
        "Sec-WebSocket-Version: 13",
        "--header",
        "Sec-WebSocket-Key: eA==",
    ]
    requests += [[*upgrade, "--header", f"Origin: {origin}", page(stack, "pty/x/connect")] for origin in origins]
    assert stack.statuses(requests) == ["403"] * len(requests)
    assert stack.statuses([["--header", f"Origin: http://localhost:{port(stack)}", page(stack)]]) == ["200"]


PATHS = ["api/events", "_serverFn/x", "%5FserverFn/x", "//_serverFn/x", "session/x", "x/../_serverFn/x"]


@control("site-check")
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_request_without_an_origin_is_refused(stack: Stack, site: str) -> None:
    """Calls it as images, scripts and links of another site do."""
    said = ["--path-as-is", "--header", f"Sec-Fetch-Site: {site}", "--header"]
    requests = [[*said, f"Sec-Fetch-Mode: {mode}", page(stack, path)] for mode in ("cors", "no-cors", "websocket") for path in ("", *PATHS)]
    requests += [[*said, "Sec-Fetch-Mode: navigate", page(stack, path)] for path in PATHS]
    requests += [[*said, "Sec-Fetch-Mode: navigate", "--request", "POST", page(stack)]]
    assert stack.statuses(requests) == ["403"] * len(requests)
    assert stack.statuses([[*said, "Sec-Fetch-Mode: navigate", page(stack)]]) == ["200"]


@control("site-check")
def test_an_image_or_link_that_a_browser_says_nothing_about_commands_nothing(stack: Stack) -> None:
    """Calls what oc-web runs for a GET, without what its own script sends along."""
    paths = ["_serverFn/x", "%5FserverFn/x", "//_serverFn/x", "x/../_serverFn/x", "_SERVERFN/x"]
    assert stack.statuses([["--path-as-is", page(stack, path)] for path in paths]) == ["403"] * len(paths)
    assert stack.from_server("--header", "X-Tsr-Redirect: manual", page(stack, "_serverFn/x")) not in ("403", "000")


@control("content-policy")
def test_the_page_may_fetch_nothing_from_elsewhere(stack: Stack) -> None:
    """Reads what the page is allowed to load, call and submit to."""
    headers = stack.server.check_output(f"curl --silent --head {page(stack)}").lower()
    [policy] = [line.partition(":")[2] for line in headers.splitlines() if line.startswith("content-security-policy:")]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == ["'self'"]
    sources = {source for allowed in rules.values() for source in allowed}
    assert {source for source in sources if "." in source or "/" in source or source in ("*", "http:", "https:")} == set()
    assert (rules["base-uri"], rules["form-action"], rules["frame-ancestors"]) == (["'none'"], ["'self'"], ["'none'"])


@control("framing")
def test_other_pages_may_not_frame_it(stack: Stack) -> None:
    """Reads what the page says about frames, and about itself."""
    headers = stack.server.check_output(f"curl --silent --head {page(stack)}").lower()
    assert "x-frame-options: deny" in headers
    assert "frame-ancestors 'none'" in headers
    assert "\nserver:" not in headers


@control("one-port")
def test_its_administration_is_off(stack: Stack) -> None:
    """Asks Caddy's own port for its configuration, from the inside."""
    assert stack.answered("gateway", [("gateway-edge", 3000)])
    assert stack.answered("gateway", [("127.0.0.1", 2019), ("gateway-edge", 2019)]) == []
