"""What a deploy fetches from, and whether this host reaches it."""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from command import run

CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
SECONDS_FOR_AN_ANSWER = 10


def seen(question: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Return what the survey says of the ways out of a ``host`` whose system, engine and stack are known."""
    bundles = CA_BUNDLES if question["ca_bundle"] == "auto" else (question["ca_bundle"],)
    ca_bundle = next((path for path in bundles if os.path.exists(path)), "")
    return {"ca_bundle": ca_bundle, "unreachable": unreachable(needed(question["fetched"], host), ca_bundle)}


def unreachable(fetched: dict[str, str], ca_bundle: str) -> dict[str, str]:
    """Say why there is no answer from those of the URLs (by variable) that have none. Any answer will do: a mirror may have no front page.

    The way is that of the builds: the proxies of the environment, else those that Docker's client is configured with.
    """
    proxies = urllib.request.getproxies() or docker_proxies()
    trust = ssl.create_default_context(cafile=ca_bundle or None)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=trust))

    def obstacle_to(url: str) -> str:
        try:
            opener.open(urllib.request.Request(url, method="HEAD"), timeout=SECONDS_FOR_AN_ANSWER).close()
        except urllib.error.HTTPError as error:
            return "the proxy wants a password" if error.code == 407 else ""
        except (OSError, ValueError) as error:
            return str(getattr(error, "reason", error))
        return ""

    def asked_again(url: str) -> str:
        # One answer that is lost on its way is no reason to refuse a deploy.
        return obstacle_to(url) and obstacle_to(url)

    with ThreadPoolExecutor() as pool:
        asked = {variable: pool.submit(asked_again, url) for variable, url in fetched.items()}
    reasons = {variable: answer.result() for variable, answer in asked.items()}
    return {variable: reason for variable, reason in reasons.items() if reason}


def needed(fetched: dict[str, str], host: dict[str, Any]) -> dict[str, str]:
    """Return those of the URLs (by variable) that a deploy to this host fetches from, as far as it shows before images have their names."""
    engine = host["engine"]
    packages = (engine["state"] == "absent" or not engine["compose"] or not engine["buildx"]) and not apt_has_proxies()
    images = not host["deployed"] and not engine["images"]
    when = {
        "docker_repository": packages,
        # One release has no Compose of its own.
        "docker_debian_mirror": packages and (host["distribution"], host["version"]) == ("debian", "12"),
        # A gateway that has certificates can wait.
        "frontend_acme_directory": 'ocweb.acme: "true"' not in host["description"],
    }
    return {variable: url for variable, url in fetched.items() if when.get(variable, images)}


def apt_has_proxies() -> bool:
    """Tell whether apt goes by proxies of its own, so that its way is another than ours."""
    return re.search(r"^Acquire::(https?::)?Proxy", run("apt-config", "dump")[1], re.MULTILINE | re.IGNORECASE) is not None


def docker_proxies() -> dict[str, str]:
    """Return the proxies that Docker's client hands to builds, by scheme."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            configured = json.load(file)["proxies"]["default"]
        return {scheme: configured[f"{scheme}Proxy"] for scheme in ("http", "https") if configured.get(f"{scheme}Proxy")}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
