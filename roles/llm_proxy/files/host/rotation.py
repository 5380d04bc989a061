"""Puts providers' keys in place, replaces them, and takes them away. Standard library only.

``main`` takes

``do``: place, rotate, revoke, or search for what was revoked
``check``: change nothing; ``force``: even where a provider could not be asked
``stack_dir`` (or "auto"), ``project``; ``host``: what the inventory calls this one; ``by``: who does it
``keys``: {name: key}, all that there are to be; ``providers``: {name: {litellm, api_base}}
``weights``: {name: weight}, as the proxy's configuration has them
``chosen``: which of them, and of those that there are: names, providers, or "all"

and returns ``changed`` and ``changes`` (key, event, before, now: fingerprints), ``error`` ("" is none), and what a ``sweep`` found.
No key is in what it returns.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
from pathlib import Path
from typing import Any

import secret_file
from folder import Refusal, roots, stack_folder
from key_files import MOST_SECONDS, BusyError, DamagedError, KeyFiles, Records, Revoked, RevokedKeys, alone, fingerprint, sync
from proxy_container import ProxyContainer
from sweep import MOST_SECONDS as SEARCH_SECONDS
from sweep import Limit, callers, sweep

Change = dict[str, str]
# A provider that has no list of its models says so; the proof that follows asks it for something that it has.
NO_LIST = (404, 405, 501)
REVOCATIONS = ("revoke", "search")
# Who revoked a key, where that was not written down by whoever did.
CUT_OFF = "a run that had not ended"


class StopError(Exception):
    """What keeps a rotation from going on, in words for the person who started it; ``changes`` is what was changed all the same."""

    def __init__(self, words: str, changes: list[Change] | None = None) -> None:
        super().__init__(words)
        self.changes = changes or []


class Keys:
    """The keys of one host, and what is to become of them.

    Raises:
        Refusal: the stack on this host is another user's.
        StopError: there is none, or a word chooses nothing.
    """

    def __init__(self, question: dict[str, Any]) -> None:
        self.question = question
        self.stack_dir = stack_folder(question["stack_dir"])
        folder = self.stack_dir / "llm-proxy"
        if not (folder / "keys").is_dir() and question["do"] != "place":
            deploy = "Deploy it first: site.yml puts the keys in place, too."
            raise StopError(f"There is no stack in {self.stack_dir} on this host. {deploy}{roots()}")
        belongs = (folder / "keys" if (folder / "keys").is_dir() else Path("/")).stat()
        self.files = KeyFiles(folder / "keys", belongs.st_uid, belongs.st_gid)
        self.revoked = RevokedKeys(folder / "records")
        self.wanted: dict[str, str] = question["keys"]
        self.selected = self._selected(question["chosen"])

    def read_records(self) -> None:
        """Read what is known of the keys as it is now."""
        self.records = Records(self.stack_dir / "llm-proxy/records/keys.json", self.question["by"], self.question["host"])

    def _selected(self, words: list[str]) -> list[str]:
        known = sorted({*self.wanted, *self.files.names(), *self.files.leftovers(), *(one.name for one in self.revoked.found())})
        chosen: list[str] = []
        for word in words:
            found = [name for name in known if word in ("all", name, name.partition(".")[0])]
            # What is gone already, or is not used on this host, needs no revocation.
            nothing = self.question["do"] in REVOCATIONS and word.partition(".")[0] in self.question["providers"]
            if not found and word != "all" and not nothing:
                raise StopError(f"There is no key {word}. Use {', '.join(known) or 'a provider with a key'}, or all.")
            chosen += found
        return sorted(set(chosen))

    def changes(self) -> list[Change]:
        """Return what differs from how it is to be, among the selected keys."""
        found = []
        if self.question["do"] == "revoke":
            return [
                {"key": name, "event": "revoked", "before": fingerprint(key), "now": ""}
                for name in self.selected
                for key in sorted({self.files.read(name), self.files.former(name)} - {""})
            ]
        for name in self.selected:
            now = self.wanted.get(name, "")
            before = self.files.former(name) or self.files.read(name)
            if now != before or name in self.files.leftovers():
                event = "placed" if not before else "rotated" if now else "removed"
                found.append({"key": name, "event": event, "before": _print(before), "now": _print(now)})
            elif now and self.question["do"] == "place" and not self.files.given(name):
                found.append({"key": name, "event": "given", "before": _print(before), "now": _print(now)})
        return found

    def in_place(self, changes: list[Change] | None = None) -> set[str]:
        """Return the keys that lie here; with ``changes``, those that they concern."""
        names = self.files.names() if changes is None else [change["key"] for change in changes]
        return {key for name in names for key in (self.files.read(name), self.files.former(name)) if key}

    def place(self, changes: list[Change]) -> None:
        """Put in place and take away what differs."""
        for change in changes:
            if change["now"]:
                self.files.place(change["key"], self.wanted[change["key"]])
            else:
                self.files.remove(change["key"])
            # In this order, what is killed in between is done again.
            self.note(change)
            self.files.forget(change["key"])
        for name, key in self.wanted.items():
            # Those of a stack that is older than the records.
            if self.records.keys.get(name, {}).get("fingerprint") != fingerprint(key):
                self.records.note(name, "placed", fingerprint(key), "")

    def allow(self, changes: list[Change]) -> None:
        """See that nothing speaks against changes.

        Raises:
            StopError: a key was revoked, its provider is not deployed, or this host has another name, and another key under that.
        """
        self.allow_keys(changes)
        models = (self.stack_dir / "llm-proxy/config/config.yaml").read_text(encoding="utf-8")
        me = self.question["host"]
        for change in changes:
            name, provider = change["key"], change["key"].partition(".")[0]
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

    def allow_keys(self, changes: list[Change]) -> None:
        """See that no key comes back that was revoked.

        Raises:
            StopError: one would.
        """
        cut_off = {one.fingerprint: {"at": one.at, "by": CUT_OFF} for one in self.revoked.found()}
        for change in changes:
            if revoked := {**cut_off, **self.records.revoked}.get(change["now"]):
                when = f"on {revoked['at']} by {revoked['by']}"
                raise StopError(f"The new key of {change['key']} was revoked on this host {when}. Put another one into the vault.")

    def rotate(self, changes: list[Change], proxy: ProxyContainer) -> None:
        """Try, place and prove new keys, then take away those that have no successor.

        Raises:
            StopError: a key does not work; what was in place is in place again.
        """
        new = [change for change in changes if change["now"]]
        begun = []
        for change in new:
            self._try(change["key"], proxy)
        # First, so that a spare key is not taken for one like the others.
        weights = self.weigh(self.question["weights"]) if new else {}
        try:
            for change in new:
                self.files.keep(change["key"])
                begun.append(change)
                self.files.place(change["key"], self.wanted[change["key"]])
            for change in new:
                self._prove(change, proxy)
        except BaseException:
            self.weigh(weights)
            for change in begun:
                self.files.bring_back(change["key"])
                self.records.note(change["key"], "restored", change["before"], change["now"])
            raise
        for change in changes:
            if not change["now"]:
                self.files.remove(change["key"])
            self.note(change)
            self.files.forget(change["key"])

    def silence(self, prints: set[str] | None = None) -> None:
        """Have the proxy use the selected keys no more, or those with these fingerprints, and keep in mind that they were revoked.

        Raises:
            OSError: they are used no more, but that is not kept in mind.
        """
        names = self.selected if prints is None else sorted({*self.files.names(), *self.files.leftovers()})
        there = [(name, file, self.files.read(file)) for name in names for file in (name, f".{name}.old")]
        meant = [one for one in there if one[2] and (prints is None or fingerprint(one[2]) in prints)]
        trouble = None
        for name, file, key in meant:
            try:
                self.revoked.take(self.files.folder / file, name, key)
            except OSError as error:
                trouble = trouble or error
        if trouble:
            raise trouble
        if meant:
            sync(self.files.folder)
            sync(self.revoked.folder)

    def settle(self) -> list[Revoked]:
        """Write down what was revoked, and see that it is not used, even where the revocation was cut off; return what it left."""
        # A rotation that was under way may have brought one back.
        self.silence({one.fingerprint for one in self.revoked.found()})
        left = self.revoked.found()
        for one in left:
            if one.fingerprint not in self.records.revoked:
                self.records.revoke(one, "" if self.question["do"] == "search" else CUT_OFF)
        return left

    def weigh(self, weights: dict[str, int]) -> dict[str, int]:
        """Tell the proxy how often each key is chosen, and return how it was."""
        path = self.stack_dir / "llm-proxy/config/keys.json"
        before: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if weights != before:
            secret_file.write(path, json.dumps(weights) + "\n", os.getuid(), os.getgid(), 0o644)
        return before

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
    # The deploy has looked already, but since then it may have built for minutes.
    keys.allow_keys(changes)
    keys.place(changes)


def rotate(keys: Keys, changes: list[Change]) -> None:
    """Replace keys by others that were tried and proved."""
    keys.allow(changes)
    proxy = ProxyContainer(keys.question["project"])
    if changes and proxy.trouble:
        raise StopError(f"The engine on this host cannot be asked for the proxy: {proxy.trouble}")
    if changes and not proxy.name:
        raise StopError("The proxy does not run on this host. Deploy first: site.yml puts the keys in place, too.")
    keys.rotate(changes, proxy)


def revoke(keys: Keys) -> list[Change]:
    """Have keys used no more, at once, whoever is changing them at the moment; what else is to be done is ``search``'s.

    Raises:
        StopError: that they were revoked is not kept.
    """
    changes = keys.changes()
    try:
        keys.silence()
    except OSError as error:
        words = f"The keys were taken away, but this host cannot keep in mind that they were revoked: {error}. Deploy other ones only."
        raise StopError(words, changes) from None
    return changes


def search(keys: Keys) -> tuple[list[Change], list[Revoked]]:
    """Write down which keys were revoked, and return that, and which they are."""
    left = keys.revoked.found()
    try:
        keys.read_records()
        known = {*keys.records.revoked}
        left = keys.settle()
    except (DamagedError, OSError) as error:
        if not left:
            raise
        names = ", ".join(sorted({one.name for one in left}))
        raise StopError(
            f"{names}: used no more on this host, and not put in place again. But this could not be written down, and nothing was "
            f"looked for: {str(error).rstrip('.')}. Once that is mended, revoke once more."
        ) from None
    for name in {*keys.selected, *(one.name for one in left)}:
        keys.files.forget(name)
    new = [{"key": one.name, "event": "noted", "before": one.fingerprint, "now": ""} for one in left if one.fingerprint not in known]
    return new, left


DEEDS = {"place": place, "rotate": rotate}


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for, and tell what came of it."""
    # What was begun is brought to an end when the connection to the controller breaks; only a search is not.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with callers() as asking:
        try:
            return _answer(question, asking)
        except BusyError:
            then = " Then revoke once more: the keys are used no more, but were not looked for." if question["do"] == "search" else ""
            return _told(f"Another run is changing the keys of this host. Wait until it has ended.{then}")
        except StopError as stop:
            return _told(str(stop), stop.changes)
        except (Refusal, DamagedError, OSError) as stop:
            return _told(str(stop))
        except Exception as error:
            return _told(_unexpected(error))


def _answer(question: dict[str, Any], asking: list[int]) -> dict[str, Any]:
    keys = Keys(question)
    if question["check"]:
        return _told("", plan(keys))
    changes, gone, revoked = carry_out(keys)
    limit = Limit(SEARCH_SECONDS, asking)
    try:
        places = sweep(gone, str(keys.stack_dir), question["project"], limit, [str(one.path) for one in revoked]) if gone else []
    except Exception as error:
        return _told(f"The old key was not looked for. {_unexpected(error)}", changes)
    left = [place["place"] for place in places if place["found"] and not place["expected"]]
    errors = [f"The old key is still to be found: {', '.join(left)}."] if left else []
    if revoked and not limit.left():
        errors.append("There was no time to look everywhere for what was revoked. Revoke once more.")
    else:
        for one in revoked:
            one.path.unlink(missing_ok=True)
    return _told(" ".join(errors), changes, places)


def _told(error: str, changes: list[Change] | None = None, places: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"changed": bool(changes), "changes": changes or [], "error": error, "sweep": places or []}


def plan(keys: Keys) -> list[Change]:
    """Return what would be changed.

    Raises:
        StopError: something speaks against it.
    """
    do = keys.question["do"]
    changes = keys.changes() if do != "search" else []
    if do not in REVOCATIONS:
        keys.read_records()
        (keys.allow if do == "rotate" else keys.allow_keys)(changes)
    return changes


def carry_out(keys: Keys) -> tuple[list[Change], list[str], list[Revoked]]:
    """Do what is asked for, and return what was changed, which keys are to be nowhere any more, and what is kept until that is so."""
    do = keys.question["do"]
    if do == "revoke":
        return revoke(keys), [], []
    with alone(keys.stack_dir / "llm-proxy/records", MOST_SECONDS if do == "search" else 0):
        if do == "search":
            changes, revoked = search(keys)
            before = set()
        else:
            keys.read_records()
            revoked = keys.settle()
            changes = keys.changes()
            before = keys.in_place(changes)
            DEEDS[do](keys, changes)
        if do == "place":
            return changes, [], []
        before |= {one.key for one in revoked} - {""}
        return changes, sorted(before - keys.in_place()), revoked


def _unexpected(error: Exception) -> str:
    """Say where something failed; its own words may hold what nobody is to see."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"This is a mistake in ocweb.stack, or something odd on this host: {type(error).__name__} in {at.filename}, line {at.lineno}."


def _print(key: str) -> str:
    return fingerprint(key) if key else ""
