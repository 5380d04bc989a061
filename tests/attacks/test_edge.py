"""The one published port serves its own page and refuses everyone else's."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlencode

import pytest
from stack import Stack, soon
from suite import bed, control, plain, secured


def origin(stack: Stack) -> str:
    """Return scheme, name and port by which the gateway is called."""
    return stack.labels.get("ocweb.url", f"http://localhost:{port(stack)}")


def page(stack: Stack, path: str = "") -> str:
    """Return the URL of the gateway as its own server calls it, where that is by plain http."""
    return f"{origin(stack)}/{path}"


def port(stack: Stack, inner: int = 3000) -> str:
    """Return the port that one of the gateway's own is published at, "" for none."""
    bindings = stack.containers["gateway"]["HostConfig"]["PortBindings"].get(f"{inner}/tcp")
    return str(bindings[0]["HostPort"]) if bindings else ""


def way(stack: Stack) -> list[str]:
    """Return curl's options that lead from the server to its own gateway, whatever name is called; test_its_certificate looks at that."""
    [binding] = stack.containers["gateway"]["HostConfig"]["PortBindings"]["3000/tcp"]
    address = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(binding["HostIp"], binding["HostIp"])
    return ["--insecure", "--connect-to", f"::{f'[{address}]' if ':' in address else address}:"]


def call(stack: Stack, *options: str, path: str = "", start: str = "") -> list[str]:
    """Return curl's arguments that call the gateway as its own server does."""
    return [*way(stack), *options, f"{start or origin(stack)}/{path}"]


def head(stack: Stack, *options: str, path: str = "", start: str = "") -> list[str]:
    """Return the lines of an answer's head, in lower case."""
    words = shlex.join(call(stack, *options, path=path, start=start))
    return str(stack.server.check_output(f"curl --silent --output /dev/null --dump-header - {words}")).lower().splitlines()


def served(stack: Stack) -> str:
    """Return the status by which the gateway shows that it takes a request for one of its own: with a login, that is asked for."""
    return "401" if stack.secured else "200"


@control("host-check")
def test_it_answers_to_its_own_names(stack: Stack) -> None:
    """Calls it as people do, so that the refusals mean something."""
    # An authority of the server's own is for no IPv6 address.
    own = ("localhost", "127.0.0.1", "LOCALHOST", *(() if stack.secured else ("[::1]",)))
    names = [f"{name}:{port(stack)}" for name in own]
    assert stack.statuses([call(stack, "--header", f"Host: {name}") for name in names]) == [served(stack)] * len(names)


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
        stack.statuses([call(stack, "--header", f"Host: {name}", path=path) for name in names for path in ("", "api/events")])
        == ["421"] * len(names) * 2
    )


@control("origin-check")
def test_another_origins_page_is_refused(stack: Stack) -> None:
    """Calls it as a page of another origin does: by every method, for events, and for a web socket."""
    scheme = origin(stack).partition(":")[0]
    origins = [
        "http://evil.example",
        f"{scheme}://localhost:{int(port(stack)) + 1}",
        f"{'http' if scheme == 'https' else 'https'}://localhost:{port(stack)}",
        f"{scheme}://localhost",
        "null",
        "file://",
    ]
    requests = [
        call(stack, "--request", method, "--header", f"Origin: {foreign}", path="api/session")
        for foreign in origins
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
    requests += [call(stack, *upgrade, "--header", f"Origin: {foreign}", path="pty/x/connect") for foreign in origins]
    assert stack.statuses(requests) == ["403"] * len(requests)
    assert stack.statuses([call(stack, "--header", f"Origin: {origin(stack)}")]) == [served(stack)]


PATHS = ["api/events", "_serverFn/x", "%5FserverFn/x", "session/x", "x/_serverFn/x"]
# Cleaned, these are the front page, to which others may link, or nothing that the gateway has a rule for.
TWO_PATHS = [
    "_serverFn/x/..%2f..%2f?y",
    "_serverFn/x/..%2F..?y",
    "_serverFn/x/%2e%2e/%2E%2E/",
    "_serverFn/x/../..",
    "_serverFn/x/../../?y",
    "_serverFn/..%5c",
    "x/../_serverFn/x",
    "//_serverFn/x",
    "/",
    "./",
    ".",
    "\\",
]


@control("site-check")
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_request_without_an_origin_is_refused(stack: Stack, site: str) -> None:
    """Calls it as images, scripts and links of another site do."""
    said = ["--path-as-is", "--header", f"Sec-Fetch-Site: {site}", "--header"]
    requests = [
        call(stack, *said, f"Sec-Fetch-Mode: {mode}", path=path) for mode in ("cors", "no-cors", "websocket") for path in ("", *PATHS)
    ]
    requests += [call(stack, *said, "Sec-Fetch-Mode: navigate", path=path) for path in PATHS]
    requests += [call(stack, *said, "Sec-Fetch-Mode: navigate", "--request", "POST")]
    assert stack.statuses(requests) == ["403"] * len(requests)
    assert stack.statuses([call(stack, *said, "Sec-Fetch-Mode: navigate")]) == [served(stack)]


@control("site-check")
def test_an_image_or_link_that_a_browser_says_nothing_about_commands_nothing(stack: Stack) -> None:
    """Calls what oc-web runs for a GET, without what its own script sends along."""
    paths = ["_serverFn/x", "%5FserverFn/x", "x/_serverFn/x", "_SERVERFN/x"]
    assert stack.statuses([call(stack, "--path-as-is", path=path) for path in paths]) == ["403"] * len(paths)
    assert stack.from_server(*call(stack, "--header", "X-Tsr-Redirect: manual", path="_serverFn/x")) not in ("403", "000")


@control("one-path")
def test_an_address_that_can_be_read_as_two_is_refused(stack: Stack) -> None:
    """Calls it as links of other sites and images of its own page do, by addresses that mean one thing cleaned and another as they are."""
    said = [[], ["--header", "X-Tsr-Redirect: manual"], ["--header", "Sec-Fetch-Site: cross-site", "--header", "Sec-Fetch-Mode: navigate"]]
    requests = [call(stack, "--path-as-is", *headers, path=path) for path in TWO_PATHS for headers in said]
    assert stack.statuses(requests) == ["400"] * len(requests)
    assert stack.statuses([call(stack, "--path-as-is", path="?x=//y/../%2e%2f")]) == [served(stack)]


@control("no-worker")
def test_no_worker_can_be_fetched(stack: Stack) -> None:
    """Asks for a script as browsers do that are to keep it."""
    paths = ["sw.js", "favicon.ico", ""]
    assert stack.statuses([call(stack, "--header", "Service-Worker: script", path=path) for path in paths]) == ["404"] * len(paths)


# Of oc-web as it is published, what asks the agent's server for its paths.
FUNCTION = "7acab65e2c223518f37701e4c588fdf3b981d29116d278829074d2dab748ea2c"


def answer_to(stack: Stack, constant: int | str) -> str:
    """Return what that says to an object with one value, which is one of the constants that there are, or should be."""
    values = {"k": ["a"], "v": [{"t": 2, "s": constant}], "s": 1}
    payload = json.dumps({"t": {"t": 10, "i": 0, "p": values, "o": 0}, "f": 0, "m": []})
    url = f"http://frontend-web:3000/_serverFn/{FUNCTION}?{urlencode({'createServerFn': '', 'payload': payload})}"
    return stack.output("frontend", f"bun --eval {shlex.quote(f'console.log(await (await fetch({json.dumps(url)})).text())')}")


@control("page-input")
def test_what_a_browser_sends_is_read_as_data(stack: Stack) -> None:
    """Names something of the reader's own where the page's server reads a constant: oc-web's reader of old handed that out."""
    if not stack.published_page:
        pytest.skip("the page is OpenCode's, or has what its source locks")
    assert '"result"' in answer_to(stack, 2)
    said = answer_to(stack, "constructor")
    assert "Seroval" in said
    assert '"result"' not in said


SAID = {
    "Set-Cookie": "said=x; Domain=lan",
    "Clear-Site-Data": '"cookies"',
    "Strict-Transport-Security": "max-age=99; includeSubDomains",
    "Access-Control-Allow-Origin": "*",
    "NEL": "said",
    "Report-To": "said",
    "Reporting-Endpoints": "said",
    "Refresh": "9; url=http://evil.example/",
    "Link": "<http://evil.example/>; rel=preconnect",
    "Alt-Svc": "said",
    "Service-Worker-Allowed": "/",
    "Content-Security-Policy-Report-Only": "default-src 'none'; report-uri http://evil.example/",
    "WWW-Authenticate": "Basic",
    "Set-Login": "logged-out",
    "Expect-CT": "said",
    "Accept-CH": "said",
    "Speculation-Rules": "said",
}
ANSWER = f"Response.json([...asked.headers], {{headers: {json.dumps(SAID)}}})"
ECHO = f"Bun.serve({{hostname: 'frontend-web', port: 3000, fetch: asked => {ANSWER}}})"
CARRIED = (
    "Cookie: other_service=carried",
    "Authorization: Basic carried",
    "X-Ocweb-Proxy: carried",
    "X-Forwarded-Email: carried",
    "Remote-User: carried",
    "X-Auth-Request-Access-Token: carried",
)


@contextmanager
def echoing(stack: Stack) -> Iterator[None]:
    """Puts in the frontend's place what says what it gets, and says what it should not."""
    override = f"{stack.folder}/echo.yml"
    described = json.dumps({"services": {"frontend": {"command": ["bun", "--eval", ECHO]}}})
    stack.server.check_output(f"printf %s {shlex.quote(described)} >{override}")
    try:
        stack.compose(f"--file {override} up --detach --wait --timeout 5 frontend")
        yield
    finally:
        stack.compose("up --detach --wait --timeout 5 frontend")
        stack.server.check_output(f"rm {override}")
        stack.refresh()


@control("carried")
@bed
@plain
def test_what_a_browser_carries_for_others_goes_no_further(stack: Stack) -> None:
    """Calls with what shows who someone is elsewhere."""
    headers = [word for header in CARRIED for word in ("--header", header)]
    with echoing(stack):
        said = stack.server.check_output(shlex.join(["curl", "--silent", *call(stack, "--header", "X-Mine: kept", *headers)]))
    assert ["x-mine", "kept"] in json.loads(said)
    assert "carried" not in said


@control("own-word")
@bed
@plain
def test_what_is_said_of_this_name_is_not_the_agents_word(stack: Stack) -> None:
    """Answers as a page that the agent rules, with headers that a browser keeps, or takes for the whole name or its neighbours."""
    with echoing(stack):
        lines = head(stack)
    assert "content-type: application/json;charset=utf-8" in lines
    assert {line.partition(":")[0] for line in lines} & {name.lower() for name in SAID} == set()


@control("content-policy")
def test_the_page_may_fetch_nothing_from_elsewhere(stack: Stack) -> None:
    """Reads what the page is allowed to load, call and submit to."""
    [policy] = [line.partition(":")[2] for line in head(stack) if line.startswith("content-security-policy:")]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == ["'self'"]
    sources = {source for allowed in rules.values() for source in allowed}
    assert {source for source in sources if "." in source or "/" in source or source in ("*", "http:", "https:")} == set()
    assert (rules["base-uri"], rules["form-action"], rules["frame-ancestors"]) == (["'none'"], ["'self'"], ["'none'"])


@control("framing")
def test_other_pages_may_not_frame_it(stack: Stack) -> None:
    """Reads what the page says about frames, and about itself."""
    headers = head(stack)
    assert "x-frame-options: deny" in headers
    assert "referrer-policy: same-origin" in headers
    assert "frame-ancestors 'none'" in "".join(headers)
    assert [line for line in headers if line.startswith("server:")] == []


@control("one-port")
def test_its_administration_is_off(stack: Stack) -> None:
    """Asks Caddy's own port for its configuration, from the inside."""
    assert soon(partial(stack.answered, "gateway", [("gateway-edge", 3000)]))
    assert stack.answered("gateway", [("127.0.0.1", 2019), ("gateway-edge", 2019), ("gateway-edge", 2021)]) == []


@control("tls")
@secured
def test_plain_http_leads_to_https_and_to_nothing_else(stack: Stack) -> None:
    """Asks for the page, and for the way to log in, without TLS, at each port that is published."""
    host = origin(stack).partition("://")[2].rpartition(":")[0] or origin(stack).partition("://")[2]
    for path in ("", "-/login", "api/events"):
        assert " 400" in head(stack, path=path, start=f"http://{host}:{port(stack)}")[0]
        if number := port(stack, 3080):
            first, *headers = head(stack, path=path, start=f"http://{host}:{number}")
            assert " 308" in first, path
            # The port that https has anyway may be named or not.
            assert f"location: {origin(stack)}/{path}" in [line.replace(":443/", "/") for line in headers]
    if port(stack, 3080):
        assert " 421" in head(stack, start=f"http://evil.example:{port(stack, 3080)}")[0]


@control("tls")
@secured
def test_browsers_are_told_to_stay_with_tls(stack: Stack) -> None:
    """Reads what it says of TLS, and offers it what is too old."""
    [said] = [line.partition(":")[2] for line in head(stack) if line.startswith("strict-transport-security:")]
    assert int(said.partition("max-age=")[2]) >= 86400
    # Whose own servers would be out of reach, at the other end of a tunnel.
    local = head(stack, "--header", f"Host: localhost:{port(stack)}")
    assert local
    assert [line for line in local if line.startswith("strict-transport-security:")] == []
    assert stack.statuses([call(stack, "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")]) == ["000"]


@control("tls")
@secured
def test_its_certificate_is_for_its_name_and_for_now(stack: Stack) -> None:
    """Looks at the certificate that it shows for its own name."""
    name, _, number = origin(stack).partition("://")[2].partition(":")
    address = way(stack)[-1].removeprefix("::").removesuffix(":")
    greeting = "" if name.replace(".", "").isdigit() else f"-servername {shlex.quote(name)}"
    show = f"openssl s_client -connect {address}:{number or 443} {greeting} </dev/null 2>/dev/null"
    kind = "-checkhost" if greeting else "-checkip"
    for question, answer in ((f"{kind} {shlex.quote(name)}", "does match certificate"), ("-checkend 3600", "will not expire")):
        assert answer in stack.server.check_output(f"{show} | openssl x509 -noout {question}")


@control("authority")
@secured
def test_its_own_authority_is_good_for_its_own_names_alone(stack: Stack) -> None:
    """Looks at what the key in the gateway may sign, where there is an authority, and for the root's key."""
    secrets = f"{shlex.quote(stack.folder)}/gateway/secrets"
    # That of an earlier deploy may be there too.
    authorities = [one for one in stack.server.check_output(f"ls {secrets}").split() if one.startswith("internal-")]
    if not authorities:
        pytest.skip("the certificate is of an authority elsewhere (frontend_tls: files, acme)")
    for place in authorities:
        found = stack.server.check_output(f"ls {secrets}/{place}").split()
        assert sorted(found) == ["intermediate.crt", "intermediate.key", "root.crt"]
    for path in (f"{secrets}/{place}/{name}" for place in authorities for name in ("root.crt", "intermediate.crt")):
        text = stack.server.check_output(f"openssl x509 -in {path} -noout -ext nameConstraints,basicConstraints")
        assert "X509v3 Name Constraints: critical" in text
        permitted = [line.strip() for line in text.partition("Permitted:")[2].splitlines() if line.strip()]
        assert {"DNS:localhost", "IP:127.0.0.1/255.255.255.255"} <= set(permitted)
        assert [one for one in permitted if one.startswith("IP:") and not one.endswith("/255.255.255.255")] == []
    assert "pathlen:0" in text


PAGES = ["", "api/events", "_serverFn/x", "session/x", "pty/x/connect", "assets/x.js"]
WITHOUT_LOGIN = [*PAGES, "-/login/", "-/x", "check", "health", "x?y=/-/login", "?health"]
METHODS = ("GET", "POST", "PUT", "OPTIONS")


@control("login")
@secured
@pytest.mark.parametrize("cookie", ["", "__Host-ocweb=", "__Host-ocweb=AAAA", "__Host-ocweb=..; __Host-ocweb=x"])
def test_who_is_not_logged_in_gets_nothing(stack: Stack, cookie: str) -> None:
    """Asks for everything, by every method, for events and for a web socket, with a made-up session and with none."""
    said = ["--path-as-is", "--header", "X-Tsr-Redirect: manual", "--header", f"Cookie: {cookie}", "--header", "X-Forwarded-Uri: /-/login"]
    requests = [call(stack, *said, "--request", method, path=path) for method in METHODS for path in WITHOUT_LOGIN]
    upgrade = ["--http1.1", "--header", "Connection: Upgrade", "--header", "Upgrade: websocket", "--header", "Sec-WebSocket-Key: eA=="]
    requests += [call(stack, *said, *upgrade, path=path) for path in WITHOUT_LOGIN]
    assert stack.statuses(requests) == ["401"] * len(requests)
    people = [call(stack, *said, "--header", "Accept: text/html", path=path) for path in WITHOUT_LOGIN]
    assert stack.statuses(people) == ["303"] * len(people)
    assert stack.statuses([call(stack, *said, path="-/login/../x")]) == ["400"]
    assert stack.statuses([call(stack, path="-/login")]) == ["200"]


@control("login")
@secured
def test_a_password_in_the_request_is_no_login(stack: Stack) -> None:
    """Logs in by other ways than the form: basic authentication, the address, a header of a proxy's."""
    options = [
        ["--user", "dev:dev"],
        ["--user", "admin:admin"],
        ["--header", "X-Forwarded-For: 127.0.0.1"],
        ["--header", "Remote-User: dev"],
        ["--header", "X-Forwarded-User: dev"],
    ]
    assert stack.statuses([call(stack, *each) for each in options]) == ["401"] * len(options)
    assert stack.from_server(*call(stack, "--data", "name=dev", path="-/login")) == "403"


@control("login")
@secured
@bed
def test_a_flood_of_strangers_gets_nothing_and_takes_nothing_down(stack: Stack) -> None:
    """Asks hundreds of times at once."""
    started = stack.container("gateway")["State"]["StartedAt"]
    count = 150
    said = "--silent --http1.1 --output /dev/null --max-time 120 --write-out '%{http_code}\\n'"
    many = f"curl --parallel --parallel-immediate --parallel-max {count} {said} {shlex.join(call(stack, path=f'x?[1-{count}]'))}"
    assert stack.server.run(many).stdout.split() == ["401"] * count
    assert stack.container("gateway")["State"]["StartedAt"] == started


SMUGGLED = "GET /health HTTP/1.1\r\nX-Rest: "


@control("one-request")
@secured
@pytest.mark.parametrize("path", ["check", "-/login"])
def test_a_body_is_not_taken_for_the_next_request(stack: Stack, path: str) -> None:
    """Leaves a request in the body of another, a few times, and looks at whether those that come next are let in by it."""
    poison = call(stack, "--http1.1", "--request", "GET", "--data-binary", SMUGGLED, path=path)
    for _ in range(3):
        assert not set(stack.statuses([poison] * 4)) & {"204", "303"}
        said = stack.server.check_output(shlex.join(["curl", "--silent", *call(stack, path="-/login")]))
        assert "</form>" in said
        pages = [call(stack, "--header", "X-Tsr-Redirect: manual", path=one) for one in PAGES]
        assert stack.statuses(pages) == ["401"] * len(PAGES)


# Opens connections to ADDRESS PORT, and says something to HOST.
SAY = """
import socket, ssl, sys
address, port, host = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.set_alpn_protocols(["http/1.1"])

def said(text):
    name = host.rpartition(":")[0] or host
    connection = context.wrap_socket(socket.create_connection((address, port), timeout=5), server_hostname=name)
    connection.sendall(text.replace("HOST", host).encode())
    return connection
"""

# Of COUNT connections, sends the head and most of a login's form on each, and then asks for the login's page as somebody else.
SLOW = f"""{SAY}
count = int(sys.argv[4])
slow = [said("POST /-/login HTTP/1.1\\r\\nHost: HOST\\r\\nContent-Length: 3900\\r\\n\\r\\n" + "n" * 3000) for _ in range(count)]
print(said("GET /-/login HTTP/1.1\\r\\nHost: HOST\\r\\nConnection: close\\r\\n\\r\\n").recv(15).decode())
"""


# Begins a request, and says what comes back within half a minute.
HEAD = f"""{SAY}
connection = said("GET /-/login HTTP/1.1\\r\\nHost: HOST\\r\\nX-Slow: ")
connection.settimeout(30)
print(connection.recv(100))
"""


def named(stack: Stack) -> list[str]:
    """Return address and port of the gateway as its own server reaches them, and the name that it goes by."""
    host = origin(stack).partition("://")[2]
    return [way(stack)[-1].removeprefix("::").removesuffix(":").strip("[]"), port(stack), host]


@control("login-held")
@secured
@bed
def test_who_sends_slowly_keeps_nobody_out(stack: Stack) -> None:
    """Holds twice as many connections to the login as it has, and asks for its page within five seconds."""
    done = stack.server.run(shlex.join(["python3", "-c", SLOW, *named(stack), "48"]))
    assert done.stdout.strip() == "HTTP/1.1 200 OK", done.stderr


@control("head-held")
@secured
@bed
def test_who_never_ends_a_request_is_hung_up_on(stack: Stack) -> None:
    """Begins a request's head, and waits for longer than anyone takes to send one."""
    done = stack.server.run(shlex.join(["python3", "-c", HEAD, *named(stack)]))
    assert done.stdout.strip() == "b''", done.stderr


# On each of COUNT connections, sends as much of a request's head of SIZE bytes as it is let, over TLS or as plain http (PLAIN).
FLOOD = f"""{SAY}
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
count, size, plain = int(sys.argv[4]), int(sys.argv[5]), len(sys.argv) > 6
begun = "GET /-/login HTTP/1.1\\r\\nHost: HOST\\r\\n"
line = "X-Long: " + "n" * 8000 + "\\r\\n"
held = []
for _ in range(count):
    try:
        connection = socket.create_connection((address, port), timeout=5) if plain else said(begun)
        connection.settimeout(2)
        held.append(connection)
        connection.sendall((begun * plain).replace("HOST", host).encode())
        for _ in range(size // len(line)):
            connection.sendall(line.encode())
    except OSError:
        # It does not take more, or hangs up.
        pass
print(len(held))
"""


def flooded(stack: Stack, *words: str) -> int:
    """Flood the gateway, see that it is there all the same, and that it was all the time; return how many connections it took."""
    started = stack.container("gateway")["State"]["StartedAt"]
    done = stack.server.run(shlex.join(["python3", "-c", FLOOD, *named(stack), *words]))
    assert done.rc == 0, done.stderr
    assert stack.statuses([call(stack, path="-/login")]) == ["200"]
    assert stack.container("gateway")["State"]["StartedAt"] == started
    return int(done.stdout)


@control("gateway-full")
@secured
@bed
@pytest.mark.parametrize("words", [("400", "980000"), ("1", "300000000", "plain")], ids=["tls", "plain"])
def test_strangers_do_not_fill_its_memory(stack: Stack, words: tuple[str, ...]) -> None:
    """Begins requests whose heads do not end, on many connections at once, and without TLS on one."""
    assert flooded(stack, *words)


@control("gateway-full")
@secured
@bed
def test_nor_with_many_connections(stack: Stack) -> None:
    """Begins thousands of requests of a size that it takes."""
    assert flooded(stack, "4000", "30000") > 500


@control("edge-log")
@secured
@bed
def test_the_log_does_not_hold_what_shows_who_someone_is(stack: Stack) -> None:
    """Makes the gateway log an error, of a request that carries a proxy's secret and a session."""
    shown = ["--header", "X-Ocweb-Proxy: carried-into-the-log", "--header", "Cookie: __Host-ocweb=carried-into-the-log"]
    assert stack.from_server(*call(stack, *shown, "--data", "n" * 5000, path="-/login?code=carried-into-the-log")) in ("413", "502")
    log = stack.server.check_output(f"docker logs --tail 40 {stack.name('gateway')} 2>&1")
    assert '"logger":"http.log.error"' in log
    assert "carried-into-the-log" not in log


@pytest.fixture
def forgotten(stack: Stack) -> Iterator[None]:
    """A gateway that knows of nobody who has failed, before and after."""
    name = stack.name("gateway")
    forget = f"docker stop --time 5 {name} && rm -f {shlex.quote(stack.folder)}/gateway/state/login/failed-* && docker start {name}"
    stack.server.check_output(forget)
    stack.wait_until_healthy()
    yield
    stack.server.check_output(forget)
    stack.wait_until_healthy()


@control("login-limit")
@secured
@bed
@pytest.mark.usefixtures("forgotten")
def test_passwords_cannot_be_tried_without_end(stack: Stack) -> None:
    """Tries one password after the other, each time as if for somebody else."""
    guess = "name=nobody&password=a+guess+that+is+long"
    tries = [
        stack.from_server(*call(stack, "--header", f"X-Forwarded-For: 192.0.2.{number}", "--data", f"{guess}+{number}", path="-/login"))
        for number in range(12)
    ]
    assert set(tries) == {"403", "429"}
    assert tries[-1] == "429"
    log = stack.server.check_output(f"docker logs --tail 40 {stack.name('gateway')} 2>&1")
    said = [json.loads(line) for line in log.splitlines() if line.startswith("{") and '"event": "login"' in line]
    assert {"refused", "limited"} <= {one["outcome"] for one in said}
    assert "a guess that" not in log


@control("login-limit")
@secured
@bed
@pytest.mark.usefixtures("forgotten")
def test_nor_with_a_gateway_that_begins_anew(stack: Stack) -> None:
    """Tries passwords until there is a limit, has the gateway start again, and tries another."""
    guess = call(stack, "--data", "name=nobody&password=a+guess+that+is+long", path="-/login")
    for _ in range(12):
        if stack.from_server(*guess) == "429":
            break
    stack.server.check_output(f"docker restart --time 5 {stack.name('gateway')}")
    stack.wait_until_healthy()
    assert stack.from_server(*guess) == "429"


@control("session-cookie")
@secured
def test_a_session_stays_in_its_browser(stack: Stack) -> None:
    """Looks at how the browser is told to keep a session."""
    [said] = [
        line.partition(":")[2] for line in head(stack, "--request", "POST", "--data", "", path="-/logout") if line.startswith("set-cookie:")
    ]
    name, *attributes = (part.strip() for part in said.split(";"))
    assert name == "__host-ocweb="
    assert {"path=/", "secure", "httponly", "samesite=lax"} <= set(attributes)
    assert "domain" not in said
