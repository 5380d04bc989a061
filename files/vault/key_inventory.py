"""An inventory as Ansible reads it: which providers are in use, and which variables their keys are to come from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.vars.manager import VariableManager
from jinja2 import Environment, TemplateSyntaxError, nodes

from key_rules import is_placeholder, is_template
from vault_passwords import Passwords, Refused

try:  # From ansible-core 2.19 on, a value that is encrypted in place asks here for its password.
    from ansible.parsing.vault import VaultSecretsContext
except ImportError:
    VaultSecretsContext = None

ROLE = Path(__file__).resolve().parents[2] / "roles/llm_proxy"
KEYS = "llm_proxy_keys"
# What a template calls besides variables.
FUNCTIONS = {"lookup", "query", "q", "now", "omit", "undef", "range", "dict"}


@dataclass
class Keys:
    """What the keys of some hosts are to come from."""

    # Of each variable, the provider whose key it is; "" where it is for several.
    variables: dict[str, str] = field(default_factory=dict)
    # Variables that some host has no value for.
    missing: set[str] = field(default_factory=set)
    # A line for each thing that is wrong (as keys, for their order), and what to write for providers without a reference.
    problems: dict[str, None] = field(default_factory=dict)
    lines: dict[str, None] = field(default_factory=dict)

    def wrong(self) -> str:
        """Say what is wrong, and what to write instead; "" if nothing is."""
        write = ["Write beside your models:", f"{KEYS}:", *self.lines] if self.lines else []
        return "\n".join([*self.problems, *write])


def default_variables() -> dict[str, Any]:
    """Return the role's own variables that say what is used, and the built-in providers."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    return {name: defaults[name] for name in ("llm_proxy_models", "llm_proxy_providers", KEYS)}


def built_in() -> dict[str, Any]:
    """Return the providers that the role knows by itself."""
    found = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))["__llm_proxy_known_providers"]
    return dict(found)


def is_text(value: object) -> bool:
    """Say whether a raw value is a text in the clear; one that is encrypted in place is an object of its own."""
    return isinstance(value, str)


def names_in(text: str) -> set[str]:
    """Return the variables that a template refers to; none where it cannot be read."""
    try:
        # Not by jinja2.meta, which refuses what uses a filter that it does not know, and Ansible has many.
        names = list(Environment().parse(text).find_all(nodes.Name)) if is_template(text) else []
    except TemplateSyntaxError:
        return set()
    return {name.name for name in names if name.ctx == "load"} - {name.name for name in names if name.ctx != "load"} - FUNCTIONS


def texts(value: object) -> Iterator[str]:
    """Yield each text in the clear in a variable's value, however deep."""
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def is_missing(value: object) -> bool:
    """Say whether a variable has no value yet, or one that only stands in a real one's place."""
    return value is None or (is_text(value) and (not value or is_placeholder(str(value))))


class Inventory:
    """An inventory, loaded with Ansible's own means, its vaults opened with passwords."""

    def __init__(self, source: str, loader: DataLoader, passwords: Passwords) -> None:
        if not AnsibleCollectionConfig.collection_finder:
            init_plugin_loader()
        loader.set_vault_secrets(passwords)
        if VaultSecretsContext:
            if context := VaultSecretsContext.current(optional=True):
                context.secrets = passwords
            else:
                VaultSecretsContext.initialize(VaultSecretsContext(passwords))
        self.loader = loader
        try:
            self.manager = InventoryManager(loader=loader, sources=[source])
            self.variable_manager = VariableManager(loader=loader, inventory=self.manager)
            self.variables = {
                host.name: self.variable_manager.get_vars(host=host, include_hostvars=False) for host in self.manager.get_hosts()
            }
        except AnsibleError as error:
            raise Refused(f"{source}: Ansible cannot read it. {error.message}") from None
        if not self.variables:
            raise Refused(f"{source}: there is no host in it")

    def entity(self, name: str) -> tuple[str, list[str]]:
        """Return the folder of variables of a host or group ("group_vars" or "host_vars"), and the names of its hosts.

        Raises:
            Refused: there is none of that name.
        """
        if name in self.manager.groups:
            hosts = [host.name for host in self.manager.groups[name].get_hosts()]
            if not hosts:
                raise Refused(f"--for {name}: there is no host in that group")
            return "group_vars", hosts
        if name in self.variables:
            return "host_vars", [name]
        raise Refused(
            f"--for {name}: the inventory has no such host or group.{did_you_mean(name, [*self.manager.groups, *self.variables])}"
        )

    def providers(self, variables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the providers of a host's models, each as it is described; {} for one that is not.

        Raises:
            Refused: models or providers are not what they should be.
        """
        templar = Templar(loader=self.loader, variables=variables)
        try:
            known = {**built_in(), **templar.template(variables["llm_proxy_providers"])}
            return {
                str(model["provider"]): dict(known.get(model["provider"], {})) for model in templar.template(variables["llm_proxy_models"])
            }
        except (AnsibleError, TypeError, KeyError, ValueError):
            raise Refused("llm_proxy_models or llm_proxy_providers is not what it should be; `make check` says what is wrong") from None

    def keys(self, hosts: list[str]) -> Keys:
        """Return what the keys of hosts are to come from, and what is wrong with how that is written."""
        found = Keys()
        for host in hosts:
            variables = {**default_variables(), **self.variables[host]}
            given = variables[KEYS]
            if not isinstance(given, Mapping):
                found.problems[f"{KEYS}: on {host} it has to be a list of `provider: reference`. Write it as one"] = None
                continue
            for provider, described in self.providers(variables).items():
                if not described:
                    found.problems[f"llm_proxy_models: {provider} on {host} is no provider. Add it to llm_proxy_providers"] = None
                elif not described.get("keyless"):
                    self.refer(found, provider, given.get(provider), variables)
        return found

    def refer(self, found: Keys, provider: str, given: object, variables: Mapping[str, Any]) -> None:
        """Add the variables that a provider's keys come from, or what is wrong with how that is written."""
        keys = [each.get("key") if isinstance(each, Mapping) else each for each in given] if isinstance(given, list) else [given]
        for key in keys or [None]:
            names = self.ends(str(key), variables) if is_text(key) else []
            if len(names) == 1:
                found.variables[names[0]] = provider if found.variables.get(names[0], provider) == provider else ""
                found.missing |= {name for name in names if is_missing(variables.get(name))}
                continue
            if names:
                wrong = f"{KEYS}: the key of {provider} is made from {', '.join(names)}. Refer to one variable"
            elif is_missing(key):
                wrong = f"{KEYS}: nothing says where the key of {provider} comes from"
            elif is_text(key) and not is_template(str(key)):
                wrong = f"{KEYS}: the key of {provider} stands there in the clear. Have a new one, and refer to it"
            else:  # It is encrypted in place, or comes from elsewhere, such as a lookup.
                continue
            found.problems[wrong] = None
            found.lines[f"  {provider}: \"{{{{ vault_{re.sub('[^a-z0-9]', '_', provider)}_api_key | default('') }}}}\""] = None

    def ends(self, text: str, variables: Mapping[str, Any], seen: Collection[str] = ()) -> list[str]:
        """Return the variables that a text refers to, through those that are only references themselves."""
        found: list[str] = []
        for name in sorted(names_in(text) - set(seen)):
            value = variables.get(name)
            further = self.ends(str(value), variables, [*seen, name]) if is_text(value) else []
            found += further or [name]
        return found

    def referred(self) -> set[str]:
        """Return every variable that a template of the inventory refers to."""
        return {name for variables in self.variables.values() for text in texts(dict(variables)) for name in names_in(text)}

    def behind(self, setting: str) -> set[str]:
        """Return the variables that the hosts' values of a variable come from."""
        return {
            name
            for variables in self.variables.values()
            if is_text(variables.get(setting))
            for name in self.ends(str(variables[setting]), variables)
        }

    def without_value(self) -> set[str]:
        """Return the variables of vaults that are referred to, and that some host has no value for, but those of keys."""
        found: set[str] = set()
        for variables in self.variables.values():
            for text in texts({name: value for name, value in variables.items() if name != KEYS}):
                found |= {name for name in names_in(text) if name.startswith("vault_") and is_missing(variables.get(name))}
        return found

    def replaced(self) -> set[str]:
        """Return the built-in providers that the inventory gives another address: keys for those may look like anything."""
        found: set[str] = set()
        for variables in self.variables.values():
            own = variables.get("llm_proxy_providers")
            found |= set(own) if isinstance(own, Mapping) else set()
        return found


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a sentence that names what was probably meant, "" if nothing is near."""
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]}?" if near else ""
