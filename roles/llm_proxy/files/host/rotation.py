"""Puts providers' keys in place, replaces them, and takes them away. Standard library only.

``main`` takes

``do``: place, rotate or revoke; ``check``: change nothing; ``force``: even where a provider could not be asked
``stack_dir`` (or "auto"), ``project``; ``host``: what the inventory calls this one; ``by``: who does it
``keys``: {name: key}, all that there are to be; ``weights``: {name: number}; ``providers``: {name: {litellm, api_base}}
``chosen``: which of them, and of those that there are: names, providers, or "all"

and returns ``changed``, ``changes`` (key, event, before, now: fingerprints), whether keys were ``weighed`` anew, ``error`` ("" is none),
and what a ``sweep`` found.
No key is in what it returns.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import secret_file
from key_files import BusyError, KeyFiles, Records, alone, fingerprint
from proxy_container import ProxyContainer
from sweep import sweep

Change = dict[str, str]
# A provider that has no list of its models says so; the proof that follows asks it for something that it has.
NO_LIST = (404, 405, 501)


class StopError(Exception):
    """What keeps a rotation from going on, in words for the person who started it."""


class Keys:
    """The keys of one host, and what is to become of them.

    Raises:
        StopError: there is no stack on this host, or a word chooses nothing.
    """

    def __init__(self, question: dict[str, Any]) -> None:
        self.question = question
        self.stack_dir = Path(question["stack_dir"] if question["stack_dir"] != "auto" else _usual_folder())
        folder = self.stack_dir / "llm-proxy"
        if not (folder / "keys").is_dir() and question["do"] != "place":
            raise StopError(f"There is no stack in {self.stack_dir} on this host. Deploy it first: site.yml puts the keys in place, too.")
        belongs = (folder / "keys" if (folder / "keys").is_dir() else Path("/")).stat()
        self.files = KeyFiles(folder / "keys", belongs.st_uid, belongs.st_gid)
        self.records = Records(folder / "records/keys.json", question["by"], question["host"])
        self.wanted: dict[str, str] = question["keys"]
        self.selected = self._selected(question["chosen"])

    def _selected(self, words: list[str]) -> list[str]:
        known = sorted({*self.wanted, *self.files.names(), *self.files.leftovers()})
        chosen: list[str] = []
        for word in words:
            found = [name for name in known if word in ("all", name, name.partition(".")[0])]
            if not found and word != "all":
                raise StopError(f"There is no key {word}. Use {', '.join(known) or 'a provider with a key'}, or all.")
            chosen += found
        return sorted(set(chosen))

    def changes(self) -> list[Change]:
        """Return what differs from how it is to be, among the selected keys."""
        found = []
        for name in self.selected:
            now = "" if self.question["do"] == "revoke" else self.wanted.get(name, "")
            before = self.files.former(name) or self.files.read(name)
            if now != before or name in self.files.leftovers():
                event = "placed" if not before else "rotated" if now else "revoked" if self.question["do"] == "revoke" else "removed"
                found.append({"key": name, "event": event, "before": _print(before), "now": _print(now)})
            elif now and self.question["do"] == "place" and not self.files.given(name):
                found.append({"key": name, "event": "given", "before": _print(before), "now": _print(now)})
        return found

    def in_place(self, changes: list[Change] | None = None) -> set[str]:
        """Return the keys that lie here; with ``changes``, those that they concern."""
        names = self.files.names() if changes is None else [change["key"] for change in changes]
        return {key for name in names for key in (self.files.read(name), self.files.former(name)) if key}

    def weigh(self) -> bool:
        """Tell the proxy how often to choose each key, and tell whether that is anything new."""
        path = self.stack_dir / "llm-proxy/config/keys.json"
        text = json.dumps(self.question["weights"], sort_keys=True)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        if not self.question["check"]:
            owner, group, _ = secret_file.belongs(path.parent)
            secret_file.write(path, text, owner, group, 0o644)
        return True

    def place(self, changes: list[Change]) -> None:
        """Put in place and take away what differs."""
        for change in changes:
            if change["now"]:
                self.files.place(change["key"], self.wanted[change["key"]])
            else:
                self.files.remove(change["key"])
            self.files.forget(change["key"])
            self.note(change)
        for name, key in self.wanted.items():
            # Those of a stack that is older than the records.
            if self.records.keys.get(name, {}).get("fingerprint") != fingerprint(key):
                self.records.note(name, "placed", fingerprint(key), "")

    def allow(self, changes: list[Change]) -> None:
        """See that nothing speaks against changes.

        Raises:
            StopError: a key was revoked, its provider is not deployed, or this host has another name, and another key under that.
        """
        models = (self.stack_dir / "llm-proxy/config/config.yaml").read_text(encoding="utf-8")
        me = self.question["host"]
        for change in changes:
            name, provider = change["key"], change["key"].partition(".")[0]
            if revoked := self.records.revoked.get(change["now"]):
                when = f"on {revoked['at']} by {revoked['by']}"
                raise StopError(f"The new key of {name} was revoked on this host {when}. Put another one into the vault.")
            if change["now"] and f"provider: {provider}\n" not in models:
                raise StopError(
                    f"The proxy on this host has no model of {provider} yet. Deploy first: site.yml puts the keys in place, too."
                )
            other = self.records.keys.get(name, {}).get("host", me)
            if other != me and not self.question["force"]:
                raise StopError(
                    f"{me} is the same machine as the inventory's host {other}, whose key of {name} is in place, and has another one. "
                    "Give both the same key, or each a stack_dir of its own; if the host was renamed, say llm_proxy_rotate_force: true."
                )

    def rotate(self, changes: list[Change], proxy: ProxyContainer) -> None:
        """Try, place and prove new keys, then take away those that have no successor.

        Raises:
            StopError: a key does not work; what was in place is in place again.
        """
        new = [change for change in changes if change["now"]]
        begun = []
        for change in new:
            self._try(change["key"], proxy)
        try:
            for change in new:
                self.files.keep(change["key"])
                begun.append(change)
                self.files.place(change["key"], self.wanted[change["key"]])
            for change in new:
                self._prove(change, proxy)
        except BaseException:
            for change in begun:
                self.files.bring_back(change["key"])
                self.records.note(change["key"], "restored", change["before"], change["now"])
            raise
        for change in changes:
            if not change["now"]:
                self.files.remove(change["key"])
            self.files.forget(change["key"])
            self.note(change)

    def _try(self, name: str, proxy: ProxyContainer) -> None:
        provider = self.question["providers"][name.partition(".")[0]]
        status = proxy.try_key(provider["litellm"], provider["api_base"], self.wanted[name])
        if 200 <= status < 300 or status in NO_LIST:
            return
        if status in (401, 403):
            raise StopError(f"{provider['api_base']} does not accept the new key of {name} ({status}). Nothing was changed.")
        if self.question["force"]:
            return
        why = {0: "cannot be reached through the egress guard", 429: "limits the new key already"}.get(status, f"answered {status}")
        raise StopError(
            f"The new key of {name} could not be tried: {provider['api_base']} {why}. Nothing was changed. "
            "Try again later, or put it in place untried with llm_proxy_rotate_force: true."
        )

    def _prove(self, change: Change, proxy: ProxyContainer) -> None:
        found = proxy.prove(change["key"])
        if found.get("fingerprint", change["now"]) != change["now"]:
            raise StopError(f"The proxy does not use the new key of {change['key']}. The old one is in place again.")
        if not 200 <= found["status"] < 300 and not (self.question["force"] and found["status"] not in (401, 403)):
            said = f"answered {found['status']} to" if found["status"] else "did not answer"
            raise StopError(f"The proxy {said} a request with the new key of {change['key']}. The old one is in place again.")

    def note(self, change: Change) -> None:
        """Write a change down."""
        self.records.note(change["key"], change["event"], change["now"], change["before"])


def place(keys: Keys, changes: list[Change]) -> None:
    """Do a deploy's part: make the folder hold the wanted keys and no others, without asking anyone."""
    keys.place(changes)


def rotate(keys: Keys, changes: list[Change]) -> None:
    """Replace keys by others that were tried and proved."""
    keys.allow(changes)
    proxy = ProxyContainer(keys.question["project"])
    if changes and not proxy.name:
        raise StopError("The proxy does not run on this host. Deploy first: site.yml puts the keys in place, too.")
    keys.rotate(changes, proxy)


def revoke(keys: Keys, changes: list[Change]) -> None:
    """Take keys away at once."""
    for change in changes:
        keys.files.remove(change["key"])
        keys.files.forget(change["key"])
    for change in changes:
        keys.note(change)


DEEDS = {"place": place, "rotate": rotate, "revoke": revoke}


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for, and tell what came of it."""
    # What was begun is brought to an end when the connection to the controller breaks.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    answer: dict[str, Any] = {"changed": False, "changes": [], "weighed": False, "error": "", "sweep": []}
    try:
        keys = Keys(question)
        if question["check"]:
            changes = keys.changes()
            if question["do"] == "rotate":
                keys.allow(changes)
            weighed = question["do"] != "revoke" and keys.weigh()
            return {**answer, "changed": bool(changes) or weighed, "changes": changes, "weighed": weighed}
        with alone(keys.stack_dir / "llm-proxy/records"):
            changes = keys.changes()
            before = keys.in_place(changes)
            DEEDS[question["do"]](keys, changes)
            weighed = question["do"] != "revoke" and keys.weigh()
    except BusyError:
        return {**answer, "error": "Another run is changing the keys of this host. Wait until it has ended."}
    except (StopError, OSError) as stop:
        return {**answer, "error": str(stop)}
    gone = sorted(before - keys.in_place()) if question["do"] != "place" else []
    places = sweep(gone, str(keys.stack_dir), question["project"]) if gone else []
    left = [place["place"] for place in places if place["found"] and not place["expected"]]
    error = f"The old key is still to be found: {', '.join(left)}." if left else ""
    return {"changed": bool(changes) or weighed, "changes": changes, "weighed": weighed, "error": error, "sweep": places}


def _print(key: str) -> str:
    return fingerprint(key) if key else ""


def _usual_folder() -> str:
    return "/opt/ocweb" if os.getuid() == 0 else str(Path.home() / ".local/share/ocweb")
