"""What is taken away, one protection at a time, and the attack that has to succeed then.

A mutation changes the deployed stack: its description (`override`, merged over compose.yml), a file in its folder (`edits`), the
proxy's code (`patches`, mounted over what is in the image), or the server itself (`server`: a command, and the one that takes it back).
"""

from dataclasses import dataclass, field
from typing import Any


class Tagged(str):
    """A YAML node with a tag of Compose's, such as ``!reset null``, written as it is."""


RESET = Tagged("!reset null")


@dataclass(frozen=True)
class Mutation:
    """One protection taken away. `attack` is a test's file and name, `only` what of its parameters is enough.

    `override` is what is set in `service` itself, `stack` what is set beside the services; both as in a Compose file.
    `secured` is one for a gateway with TLS and a login.
    """

    control: str
    what: str
    attack: str
    service: str = ""
    override: dict[str, Any] = field(default_factory=dict)
    stack: dict[str, Any] = field(default_factory=dict)
    edits: tuple[tuple[str, str, str], ...] = ()
    patches: tuple[tuple[str, str, str], ...] = ()
    server: tuple[str, str] = ("", "")
    only: str = ""
    secured: bool = False


CADDYFILE = "gateway/config/Caddyfile"
SQUID = "egress/config/squid.conf"
UNBOUND = "egress/config/unbound.conf"


def gateway(control: str, matcher: str, attack: str) -> Mutation:
    """The gateway without one of its refusals."""
    return Mutation(
        control,
        f"the gateway does not refuse {matcher}",
        attack,
        "gateway",
        edits=((CADDYFILE, f"respond @{matcher} ", f"header @{matcher} X-Was-Refused "),),
    )


def secured(control: str, what: str, attack: str, *edits: tuple[str, str, str]) -> Mutation:
    """The gateway of a stack with TLS and a login, with another configuration."""
    return Mutation(control, what, f"test_edge.py::{attack}", "gateway", edits=edits, secured=True)


def login(control: str, what: str, attack: str, old: str, new: str, *edits: tuple[str, str, str]) -> Mutation:
    """The login with other code; what of it is in the image is copied first."""
    place, copy = "/usr/local/lib/ocweb/login", "/tmp/login"
    change = f"cp -r {place} {copy} && sed -i 's/{old}/{new}/' {copy}/login.py"
    start = f"sed s#{place}#{copy}# /usr/local/lib/ocweb/start >/tmp/start && exec bash /tmp/start"
    command = {"command": ["bash", "-c", f"{change} && {start}"]}
    return Mutation(control, what, f"test_edge.py::{attack}", "gateway", command, edits=edits, secured=True)


def guard(control: str, what: str, attack: str, *edits: tuple[str, str, str]) -> Mutation:
    """The egress guard with another configuration."""
    return Mutation(control, what, attack, "egress", edits=edits)


def proxy(control: str, what: str, attack: str, *patches: tuple[str, str, str]) -> Mutation:
    """The LLM proxy with a part of its boundary cut out."""
    return Mutation(control, what, attack, "llm-proxy", patches=patches)


UNREAD = """cp -r /app /tmp/app && cd /tmp/app
sed -i 's/Object.hasOwn(record, key)/true/' dist/server/*.js
grep -q 'if (true)' dist/server/*.js && exec bun --preload ./adapter.ts ./server.ts"""
PRIVILEGES = "test_privilege.py::test_no_process_has_or_can_gain_privileges"
LIMITS = "test_privilege.py::test_what_it_uses_is_limited"
INSIDE = "test_network.py::test_it_reaches_no_service_but_those_it_calls"
OWN = "test_network.py::test_it_reaches_nothing_of_the_servers_own"

MUTATIONS = (
    # Network
    Mutation("relations", "the frontend is on the proxy's network too", INSIDE, "frontend", {"networks": {"llm": {}}}, only="frontend"),
    Mutation(
        *("direction", "the agent's server listens on all its networks", INSIDE, "backend"),
        {"command": ["sh", "-c", "sed s/backend-app/0.0.0.0/ /usr/local/lib/ocweb/start | sh"]},
        only="llm-proxy",
    ),
    Mutation(
        *(
            "own-address",
            "the guard answers for its other networks",
            "test_network.py::test_nor_where_bridges_do_without_the_firewall",
            "egress",
        ),
        {"sysctls": RESET},
        only="backend",
    ),
    Mutation(
        *("own-address", "the guard goes where packets say", "test_network.py::test_no_service_takes_the_way_that_a_packet_says", "egress"),
        {"sysctls": {"net.ipv4.conf.all.accept_source_route": "1"}},
    ),
    Mutation(
        *("inner-networks", "the tools' network is not internal", "test_network.py::test_it_reaches_nobody_outside_but_through_the_guard"),
        stack={"networks": {"tools_out": {"internal": False, "driver_opts": RESET}}},
        only="backend",
    ),
    Mutation(
        "no-host-address",
        "the server has an address on the agent's network",
        OWN,
        stack={"networks": {"app": {"driver_opts": RESET}}},
        only="backend",
    ),
    Mutation(
        *(
            "no-ipv6",
            "the agent's network has IPv6",
            "test_network.py::test_no_container_has_an_ipv6_address",
            "backend",
            {"sysctls": RESET},
        ),
        stack={"networks": {"app": {"enable_ipv6": True, "ipam": {"config": [{"subnet": "fd00:77::/64"}]}}}},
    ),
    Mutation(
        *(
            "one-port",
            "the gateway is published on all addresses",
            "test_network.py::test_the_neighbour_finds_no_open_port_of_the_stack",
            "gateway",
        ),
        {"ports": Tagged("!override ['3000:3000']")},
    ),
    gateway("static-route", "past_the_port", "test_network.py::test_a_neighbour_with_a_route_of_its_own_reaches_nothing"),
    # Egress guard
    guard(
        *(
            "egress-providers",
            "the guard lets the proxy through to everyone",
            "test_egress.py::test_the_proxy_is_not_let_through_to_a_stranger",
        ),
        (
            SQUID,
            "http_access deny CONNECT refused_tunnel",
            "http_access allow from_llm_proxy CONNECT\nhttp_access deny CONNECT refused_tunnel",
        ),
    ),
    guard(
        *("egress-tls-name", "the guard does not compare the name inside TLS", "test_egress.py::test_an_allowed_name_hides_no_other"),
        (SQUID, "ssl_bump terminate refused", "ssl_bump splice all"),
    ),
    guard(
        *("egress-private", "the guard lets private addresses through", "test_egress.py::test_a_name_does_not_lead_to_a_private_address"),
        *((SQUID, " !private ", " "), (UNBOUND, "\tprivate-address:", "\t# private-address:")),
    ),
    guard(
        *("egress-ports", "the guard lets tools through to every port", "test_egress.py::test_tools_reach_no_other_port"),
        (SQUID, "acl secure port 443", "acl secure port 1-65535"),
    ),
    guard(
        *("egress-ways", "the proxy's way out is open on all networks", "test_egress.py::test_tools_cannot_take_the_proxys_way"),
        (SQUID, "http_port egress-llm:3128", "http_port 0.0.0.0:3128"),
    ),
    guard(
        *("egress-policy", "the guard's list for tools is open", "test_egress.py::test_the_policy_that_is_set_is_kept"),
        (SQUID, "backend_egress_policy is public", "backend_egress_policy is allowlist"),
    ),
    guard(
        *("egress-log", "the guard writes no log", "test_egress.py::test_each_decision_is_on_record"),
        (SQUID, "access_log stdio:/dev/stdout logformat=decision", "access_log none"),
    ),
    # The proxy's boundary
    proxy(
        *("gate", "every route is open without a key", "test_proxy.py::test_no_other_route_answers_without_the_master_key"),
        ("access.py", 'return literal and (scope["method"], path) in KEYLESS_ROUTES', "return True"),
    ),
    proxy(
        *("fields", "no field is refused", "test_proxy.py::test_a_request_cannot_steer_itself"),
        ("body.py", '    check(request, CHAT, "")\n', ""),
    ),
    proxy(
        *("models", "no model is refused", "test_proxy.py::test_a_model_that_is_not_listed_does_not_answer"),
        ("body.py", 'if request["model"] not in models:', "if False:"),
    ),
    proxy(
        *("limits", "a request may be of any size", "test_proxy.py::test_an_oversized_request_is_refused"),
        ("intake.py", "MAX_BODY = 32 * 1024 * 1024", "MAX_BODY = 1 << 40"),
    ),
    proxy(
        *("limits", "a schema may grow without measure", "test_proxy.py::test_a_schema_that_grows_without_measure_is_refused"),
        ("body.py", "if any(word in written for word in _FOLDED):", "if False:"),
    ),
    proxy(
        *("answers", "every header of an answer passes", "test_proxy.py::test_an_answer_reveals_neither_version_nor_host"),
        ("answer.py", " for name, value in headers if name.lower() in names]", " for name, value in headers]"),
    ),
    proxy(
        *("answers", "no answer is masked", "test_proxy.py::test_a_provider_that_echoes_a_key_does_not_hand_it_to_the_agent"),
        ("masking.py", "if any(needle in data for needle in self._needles):", "if False:"),
    ),
    proxy(
        *("logs", "the log is not masked", "test_proxy.py::test_no_log_holds_a_key_at_its_most_talkative"),
        ("server.py", "    mask_output(held.masker)\n", ""),
    ),
    # Secrets
    Mutation(
        *("key-files", "everyone may read the key files", "test_secrets.py::test_no_other_account_can_read_a_key"),
        server=("chmod 755 llm-proxy/keys && chmod 444 llm-proxy/keys/*", "chmod 400 llm-proxy/keys/* && chmod 700 llm-proxy/keys"),
    ),
    Mutation(
        *(
            "key-files",
            "the workspace's owner may put links among the secrets",
            "test_secrets.py::test_a_secret_can_be_read_only_by_whom_it_is_for",
        ),
        server=("chown --reference=backend/home backend/secrets", "chown --reference=backend backend/secrets"),
    ),
    Mutation(
        *(
            "closed-home",
            "everyone may go through the agent's folder",
            "test_workspace.py::test_no_other_account_becomes_the_agents_user_by_what_it_left",
        ),
        server=("chmod 755 backend", "chmod 700 backend"),
    ),
    Mutation(
        *("key-mount", "the agent mounts the keys", "test_secrets.py::test_only_the_proxy_mounts_the_keys", "backend"),
        {"volumes": ["./llm-proxy/keys:/run/secrets/providers:ro"]},
    ),
    Mutation(
        *("no-key-elsewhere", "a key is in the proxy's environment", "test_secrets.py::test_no_key_is_in", "llm-proxy"),
        {"environment": {"OPENAI_API_KEY": "CANARY"}},
        only="containers",
    ),
    # Privilege
    Mutation(
        "no-root",
        "the frontend runs as root",
        "test_privilege.py::test_no_service_is_root",
        "frontend",
        {"user": "0:0", "cap_add": ["DAC_OVERRIDE"]},
    ),
    Mutation("no-capabilities", "the guard may change networks", PRIVILEGES, "egress", {"cap_add": ["NET_ADMIN"]}, only="egress"),
    Mutation(
        "no-new-privileges",
        "the frontend may gain privileges",
        PRIVILEGES,
        "frontend",
        {"security_opt": Tagged("!override []")},
        only="frontend",
    ),
    Mutation(
        "seccomp",
        "the frontend may make every system call",
        PRIVILEGES,
        "frontend",
        {"security_opt": ["seccomp:unconfined"]},
        only="frontend",
    ),
    Mutation(
        "read-only",
        "the guard's root file system can be written",
        "test_privilege.py::test_nothing_can_be_left_in_a_service",
        "egress",
        {"read_only": False},
    ),
    Mutation(
        "no-core",
        "the gateway may dump core",
        "test_privilege.py::test_a_crash_leaves_no_memory_on_disk",
        "gateway",
        {"ulimits": {"core": -1}},
    ),
    Mutation(
        "memory-limit", "the gateway's memory has no limit", LIMITS, "gateway", {"mem_limit": RESET, "memswap_limit": RESET}, only="gateway"
    ),
    Mutation(
        "memory-limit",
        "the agent is as dear to the kernel as the others",
        "test_privilege.py::test_what_the_agent_starts_goes_first_where_the_server_runs_out_of_memory",
        "backend",
        {"oom_score_adj": RESET},
    ),
    Mutation("pids-limit", "the gateway's processes have no limit", LIMITS, "gateway", {"pids_limit": RESET}, only="gateway"),
    Mutation("cpu-limit", "the gateway's processors have no limit", LIMITS, "gateway", {"cpus": RESET}, only="gateway"),
    Mutation(
        *("no-socket", "the frontend mounts the engine's socket", "test_privilege.py::test_no_runtime_socket_is_within_reach", "frontend"),
        {"volumes": ["/var/run/docker.sock:/run/engine/docker.sock:ro"]},
    ),
    Mutation(
        *(
            "mounts",
            "the agent may write its own configuration",
            "test_privilege.py::test_what_is_mounted_read_only_is_so_to_the_kernel",
            "backend",
        ),
        {"volumes": ["./backend/config/opencode.json:/etc/opencode/opencode.json:rw"]},
    ),
    # Workspace
    Mutation(
        *(
            "managed-config",
            "the managed configuration does not name the only provider",
            "test_workspace.py::test_a_hostile_repository_gains_no_key_and_no_model",
        ),
        *("backend",),
        edits=(("backend/config/opencode.json", '"enabled_providers"', '"instructions"'),),
    ),
    Mutation(
        *("password", "the agent's server has no password", "test_workspace.py::test_the_agents_server_wants_its_password", "backend"),
        {"command": ["opencode", "serve", "--hostname", "backend-app", "--port", "4096"]},
    ),
    # Edge
    gateway("host-check", "foreign_host", "test_edge.py::test_a_name_that_was_rebound_to_it_is_refused"),
    gateway("origin-check", "foreign_origin", "test_edge.py::test_another_origins_page_is_refused"),
    gateway("site-check", "cross_site", "test_edge.py::test_another_sites_request_without_an_origin_is_refused"),
    gateway("one-path", "two_paths", "test_edge.py::test_an_address_that_can_be_read_as_two_is_refused"),
    gateway("no-worker", "worker", "test_edge.py::test_no_worker_can_be_fetched"),
    Mutation(
        *("own-word", "the page sets cookies", "test_edge.py::test_what_is_said_of_this_name_is_not_the_agents_word", "gateway"),
        edits=((CADDYFILE, "header_down -Set-Cookie", "header_down -Set-Cookies"),),
    ),
    Mutation(
        *("page-input", "the page's server hands out what it knows by any name", "test_edge.py::test_what_a_browser_sends_is_read_as_data"),
        "frontend",
        {"command": ["bash", "-c", UNREAD]},
    ),
    Mutation(
        *("carried", "the gateway hands cookies on", "test_edge.py::test_what_a_browser_carries_for_others_goes_no_further", "gateway"),
        edits=((CADDYFILE, "header_up -Cookie", "header_up -Cookies"),),
    ),
    Mutation(
        *(
            "content-policy",
            "the gateway says nothing of what a page may fetch",
            "test_edge.py::test_the_page_may_fetch_nothing_from_elsewhere",
        ),
        *("gateway",),
        edits=((CADDYFILE, "Content-Security-Policy", "Content-Security-Policy-Not"),),
    ),
    Mutation(
        *("framing", "the gateway says nothing of frames", "test_edge.py::test_other_pages_may_not_frame_it", "gateway"),
        edits=((CADDYFILE, "X-Frame-Options DENY", "X-Frame-Options-Not DENY"),),
    ),
    # Beyond loopback
    secured(
        *("tls", "the port for plain http serves the page", "test_plain_http_leads_to_https_and_to_nothing_else"),
        (CADDYFILE, "redir @known https://", "reverse_proxy @known frontend:3000 #"),
    ),
    secured(
        *("tls", "browsers are not told to stay with TLS", "test_browsers_are_told_to_stay_with_tls"),
        (CADDYFILE, "Strict-Transport-Security", "Strict-Transport-Security-Not"),
    ),
    Mutation(
        *("authority", "the gateway's key may sign for every name", "test_edge.py::test_its_own_authority_is_good_for_its_own_names_alone"),
        server=(
            "cd gateway/secrets/internal-* && cp --preserve intermediate.crt /root/kept.crt"
            " && openssl req -x509 -key intermediate.key -subj /CN=x"
            " -addext basicConstraints=critical,CA:TRUE,pathlen:0 -out intermediate.crt",
            "cp --preserve /root/kept.crt gateway/secrets/internal-*/intermediate.crt && rm /root/kept.crt",
        ),
        secured=True,
    ),
    secured(
        *("login", "the gateway asks nobody who it is", "test_who_is_not_logged_in_gets_nothing"),
        (CADDYFILE, "uri /check", "uri /health"),
    ),
    login(
        *("one-request", "connections to the login carry many requests", "test_a_body_is_not_taken_for_the_next_request"),
        *('"HTTP.1.0"', '"HTTP\\/1.1"'),
        (CADDYFILE, "keepalive off", "keepalive 2m"),
    ),
    secured(
        *("login-held", "the login waits for who sends slowly", "test_who_sends_slowly_keeps_nobody_out"),
        (CADDYFILE, "buffer_requests\n", "\n"),
    ),
    secured(
        *("head-held", "the gateway waits for the end of a request", "test_who_never_ends_a_request_is_hung_up_on"),
        (CADDYFILE, "read_header 10s", "read_header 10m"),
    ),
    secured(
        *("gateway-full", "a head may be as long as someone likes", "test_strangers_do_not_fill_its_memory"),
        (CADDYFILE, "max_header_size 32KB", "max_header_size 32MB"),
        # Or it hangs up on those that a slow machine began 10 s ago.
        (CADDYFILE, "read_header 10s", "read_header 10m"),
    ),
    Mutation(
        *("gateway-full", "the gateway takes as many connections as there are", "test_edge.py::test_nor_with_many_connections", "gateway"),
        {"ulimits": {"nofile": RESET}},
        # As above.
        edits=((CADDYFILE, "read_header 10s", "read_header 10m"),),
        secured=True,
    ),
    secured(
        *("edge-log", "the gateway logs headers", "test_the_log_does_not_hold_what_shows_who_someone_is"),
        (CADDYFILE, "request>headers delete", "request>nothing delete"),
    ),
    login(
        *("login-limit", "passwords may be tried without end", "test_passwords_cannot_be_tried_without_end"),
        *("Attempts(10, 900", "Attempts(10000, 900"),
    ),
    login(
        *("login-limit", "a restart forgets who has failed", "test_nor_with_a_gateway_that_begins_anew"),
        *('state . "failed', 'Path("\\/tmp") \\/ "failed'),
    ),
    login(
        *("session-cookie", "scripts may read a session", "test_a_session_stays_in_its_browser"),
        *("; HttpOnly", ""),
    ),
)
