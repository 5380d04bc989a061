"""What development opens is open to whom it is meant for, and to nobody else. Only tried where stack_mode is development."""

import pytest
from stack import Stack
from suite import control
from test_edge import page

# Of the guard, in the words of the gateway: it refuses a page before anyone asks for a password.
PAGES = [
    ["--header", "Origin: http://localhost:{port}"],
    ["--header", "Origin: null"],
    ["--header", "Sec-Fetch-Site: same-origin"],
    ["--header", "Sec-Fetch-Site: none"],
]
NAMES = ["evil.example", "backend:4096", "10.0.0.1", "127.0.0.1.nip.io"]


def debug_port(stack: Stack) -> str:
    """Return the port on loopback at which the agent's server answers."""
    [binding] = stack.containers["gateway"]["HostConfig"]["PortBindings"]["4096/tcp"]
    return str(binding["HostPort"])


@control("password")
def test_the_debug_port_wants_the_password(stack: Stack) -> None:
    """Calls the agent's server at its debug port, without its password and with it."""
    if not stack.debugged:
        pytest.skip("there is no debug port")
    url = f"http://localhost:{debug_port(stack)}/config"
    assert stack.statuses([[url], ["--user", "opencode:guess", url]]) == ["401", "401"]
    said = """printf 'user = "opencode:%s"' "$(cat {}/backend/secrets/password)" | curl --config - --silent --fail --output /dev/null {}"""
    signed = said.format(stack.folder, url)
    assert stack.server.run(signed).rc == 0


@control("origin-check", "host-check")
def test_no_page_may_call_the_debug_port(stack: Stack) -> None:
    """Calls the agent's server at its debug port as a page of any origin does, and by a name that was rebound to it."""
    if not stack.debugged:
        pytest.skip("there is no debug port")
    port = debug_port(stack)
    url = f"http://localhost:{port}/session"
    pages = [[*(word.format(port=port) for word in words), "--request", method, url] for words in PAGES for method in ("GET", "POST")]
    assert stack.statuses(pages) == ["403"] * len(pages)
    names = [["--header", f"Host: {name}", url] for name in NAMES]
    assert stack.statuses(names) == ["421"] * len(names)


@control("no-key-elsewhere", "key-mount")
def test_the_development_server_hands_out_the_source_alone(stack: Stack) -> None:
    """Asks Vite for files of the container's, and to start a program."""
    files = ["@fs/run/secrets/backend/password", "@fs/proc/self/environ", "@fs/etc/passwd?import&raw", "@FS/etc/passwd"]
    paths = [*files, "__open-in-editor?file=/app/source/package.json", "dev-sw.js"]
    assert stack.statuses([["--path-as-is", page(stack, path)] for path in paths]) == ["404"] * len(paths)
    assert stack.statuses([["--path-as-is", page(stack, path)] for path in ("//@fs/etc/passwd", "x/..%2f@fs/etc/passwd")]) == ["400"] * 2
    assert stack.statuses([[page(stack, "@vite/client")]]) == ["200"]
