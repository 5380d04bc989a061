"""The protections, one line each: what the attacks prove, what the report is ordered by, and what the mutations take away.

An attack names its controls with ``@control("id", ...)``; tests/unit/attacks holds that none is without an attack or without a mutation.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Control:
    """One protection: its `id`, the `title` that people read, and what would follow if it fell."""

    id: str
    title: str
    stake: str


CONTROLS = tuple(
    Control(*row)
    for row in (
        # Network
        ("relations", "A network a relation", "the page could talk to the proxy past the agent"),
        ("direction", "Calls go one way", "the proxy could command the agent, the agent the page"),
        ("own-address", "An address answers on its own network alone", "the agent could take the proxy's way out, past its own policy"),
        ("inner-networks", "Inner networks have no way out", "the agent could send anything anywhere, unseen"),
        ("no-host-address", "The server has no address on inner networks", "the agent could attack what listens on the server"),
        ("no-ipv6", "No container speaks IPv6", "link-local addresses would lead past all the rest"),
        (
            "one-port",
            "Only the gateway is published, beyond loopback with TLS and login alone",
            "whoever reaches the server could use the models or the agent",
        ),
        ("static-route", "A neighbour's own route ends at the gateway", "the network's other machines could command the agent"),
        # Egress guard
        (
            "egress-providers",
            "The proxy reaches its providers alone, and the gateway who gives it certificates",
            "a key could be sent to a stranger",
        ),
        ("egress-tls-name", "The name inside TLS is the name that was asked for", "an allowed name would hide a forbidden one"),
        ("egress-private", "Private addresses are never reached", "metadata services and the LAN would be open to the agent"),
        ("egress-ports", "Tools reach web and git ports alone", "mail and other services could be abused from here"),
        ("egress-ways", "Tools cannot take the proxy's way out", "the tools' policy could be passed by"),
        ("egress-policy", "The tools' policy is kept", "work could be sent to hosts that are not on the list"),
        ("egress-log", "Each decision of the guard is on record", "nobody would see what the agent tried"),
        # The proxy's boundary
        ("gate", "The proxy answers few routes without its master key", "the agent could read or change the proxy's settings"),
        ("fields", "A request holds known fields alone", "a request could steer itself, and a key, elsewhere"),
        ("models", "Only listed models answer", "the agent could use models that nobody meant it to"),
        ("limits", "Requests are limited in size and shape", "one request could take the proxy down"),
        ("answers", "Answers hold no key, host or version", "a provider that echoes a key would hand it to the agent"),
        ("logs", "Logs hold no key", "whoever reads logs would have the keys"),
        # Secrets
        ("key-files", "Key files are readable by the proxy's user alone", "any account on the server could read them"),
        ("key-mount", "Keys are mounted into the proxy alone", "the agent could read them"),
        (
            "no-key-elsewhere",
            "Keys are in no configuration, image, environment or command line",
            "an inspection or a backup would hold them",
        ),
        # Privilege
        ("no-root", "No service runs as root", "a break-out would be root on the server"),
        ("no-capabilities", "No capabilities", "a service could change networks or mounts"),
        ("no-new-privileges", "No new privileges", "a set-uid program could make a service root"),
        ("seccomp", "System calls are filtered", "the kernel's rarely used parts could be attacked"),
        ("read-only", "Root file systems are read-only", "an intruder could stay"),
        ("no-core", "No core dumps", "a crash could write a key to disk"),
        ("memory-limit", "Memory is limited", "a memory bomb in the agent would take the others down"),
        ("pids-limit", "Processes are limited", "a fork bomb in the agent would take the others down"),
        ("cpu-limit", "Processors are limited", "a busy agent would starve the others"),
        ("no-socket", "No runtime socket is mounted", "the agent could command the engine"),
        (
            "closed-home",
            "Other accounts of the server have no way into the agent's home",
            "a set-uid program that the agent leaves there would make them its user",
        ),
        ("mounts", "Read-only mounts stay read-only", "the agent could change its own configuration or your keys"),
        # Workspace
        ("managed-config", "A workspace cannot re-point the models", "a repository could send what you write to a stranger"),
        ("password", "The agent's server wants its password", "whoever reaches it could run commands"),
        # Edge
        ("host-check", "A foreign Host is refused", "a page could rebind its name to this server and command the agent"),
        ("origin-check", "A foreign Origin is refused", "any page that you visit could command the agent"),
        ("site-check", "Another site's links lead to the front page alone", "a link could command the agent"),
        (
            "one-path",
            "An address that can be read as two is refused",
            "a link, or an image in what the agent writes, could command the agent",
        ),
        (
            "own-word",
            "What browsers are told of this name comes from the gateway alone",
            "the agent could rule logins and names that are not its own",
        ),
        (
            "no-worker",
            "No script stays in a browser between it and the gateway",
            "the agent could ask people for their passwords, at the login's own address",
        ),
        ("page-input", "What a browser sends to the page is read as data", "a link could run code in the page's server"),
        ("carried", "What shows who you are elsewhere goes no further", "the agent could be you at other services of the same name"),
        ("content-policy", "The page fetches nothing from elsewhere", "what the agent writes could make your browser carry the work away"),
        ("tls", "TLS alone is spoken, with a certificate of its own names", "whoever is on the way could read and change everything"),
        (
            "authority",
            "The server's own authority is good for its own names alone",
            "a stolen key would be good for every site",
        ),
        ("login", "Only who is logged in gets anything", "whoever reaches the server could command the agent"),
        ("one-request", "A request's body is not taken for the next request", "a stranger would be let in, with another request's answer"),
        ("login-held", "Who sends slowly keeps nobody from logging in", "a handful of connections would shut everyone out"),
        ("head-held", "A connection without a whole request does not stay", "strangers could hold as many as there are"),
        (
            "gateway-full",
            "Long heads and many connections do not fill the gateway's memory",
            "everyone would be cut off, as often as a stranger likes",
        ),
        ("edge-log", "The gateway's log holds nothing that shows who someone is", "who reads a log could be who is in it"),
        ("login-limit", "Passwords cannot be tried without end", "a password could be guessed"),
        ("session-cookie", "A session stays in its browser", "a script, or whoever is on the way, could take a session"),
        ("framing", "Other pages cannot frame this one", "you could be made to click what you do not see"),
    )
)
BY_ID = {one.id: one for one in CONTROLS}
