"""Bad input gets one clear error, from the checks that come before any change.

All cases are hosts of one run: each host is this machine with one wrong variable, and an engine that only answers questions.
Numbers stand as text, as they come from `-e name=value`.
"""

import json
import os
import platform
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import machine
import plays

ARCHITECTURE = machine.architecture()
DEMO = {"name": "demo", "provider": "demo"}
CLAUDE = {"name": "claude", "provider": "anthropic"}
HASH = f"$scrypt$ln=15,r=8,p=3${'a' * 22}${'b' * 43}"
GPT = {"name": "gpt", "provider": "openai"}
SOMEONE = os.getuid() or 1000

# What is set, and for each line of the error the words in it. Cases of one role share a host: users see at once all that is wrong.
CASES: dict[str, tuple[dict[str, Any], list[list[str]]]] = {
    "engine": (
        {"docker_minimum_version": "99", "docker_compose_minimum_version": "new", "docker_buildx_minimum_version": "v0.13\n"},
        [
            ["docker_minimum_version: the engine on the host is 26.1.5, and 99 is the oldest"],
            ['docker_compose_minimum_version: "new" is not a version. Say, for example, 2.26.1.'],
            ['docker_buildx_minimum_version: "v0.13'],
            ['" is not a version. Say, for example, 0.13.1.'],
        ],
    ),
    "stack": (
        {
            "stack_project": "My Stack",
            "stack_ca_bundle": "/no/ca",
            "stack_dir": "{folder}/no-such-stack",
            "stack_minimum_free_gib": "1000000",
            "stack_minimum_memory_mib": "100000000",
            "stack_check_network": True,
            "frontend_tls": "acme",
            "frontend_acme_directory": "https://127.0.0.1:9/directory",
            "stack_log_max_size": "big",
            "stack_log_max_files": "0",
            "stack_build_environment": {"A=$(id)": "x", "NPM_CONFIG_REGISTRY": "http://user:hidden@127.0.0.1:9/npm/"},
        },
        [
            ['stack_project: "My Stack" cannot name a Compose project'],
            ["stack_ca_bundle: /no/ca does not exist"],
            ["stack_minimum_free_gib: {folder}/no-such-stack has", "GiB free"],
            ["stack_minimum_free_gib: /var/lib/docker has", "GiB free"],
            ["stack_minimum_memory_mib: the host has", "MiB of memory, and the stack wants 100000000"],
            ["NPM_CONFIG_REGISTRY: the host does not reach http://127.0.0.1:9/npm/, which images are built from (", "refused"],
            ["frontend_acme_directory: the host does not reach https://127.0.0.1:9/directory, which certificates come from (", "refused"],
            ['stack_log_max_size: "big" is not a size'],
            ["stack_log_max_files: 0 is too few"],
            ['stack_build_environment: "A=$(id)" cannot name a variable'],
        ],
    ),
    "pins": (
        {
            "stack_pins": {
                "base": "debian:13.7-slim",
                "bun": {"x86_64": "@oven/bun-linux-x64@1.4.5", "riscv64": f"@oven/bun-linux-riscv64@1.4.5#{'0' * 128}"},
                "opencode": {"x86_64" if platform.machine() == "aarch64" else "aarch64": f"opencode@1.18.34#{'0' * 128}"},
                "node": "24",
            }
        },
        [
            ["stack_pins: base is no image with its hash. Say, for example, docker.io/library/debian:"],
            ["stack_pins: bun has x86_64: @oven/bun-linux-x64@1.4.5. Use x86_64, x86_64-baseline, aarch64, each with NAME@VERSION#SHA512"],
            ["stack_pins: bun has riscv64: @oven/bun-linux-riscv64@1.4.5#000"],
            *([["stack_pins: bun has no package for"]] if ARCHITECTURE != "x86_64" else []),
            [f"stack_pins: opencode has no package for {ARCHITECTURE}, which the host is"],
            ["stack_pins: node is not what is pinned. Use base, bun, opencode."],
        ],
    ),
    "pins_shape": ({"stack_pins": {"opencode": "1.18.34"}}, [["stack_pins: opencode has no package for each processor"]]),
    "folder": (
        {"stack_dir": "ocweb", "stack_backup_dir": "backups"},
        [
            ['stack_dir: "ocweb" is not an absolute path. Say, for example, /opt/ocweb, or auto.'],
            ['stack_backup_dir: "backups" is not an absolute path. Say, for example, /var/backups/ocweb, or auto.'],
        ],
    ),
    "folder_below_a_file": (
        {"stack_dir": "/etc/passwd/stack", "frontend_port": "29969"},
        [["stack_dir: /etc/passwd/stack cannot be written to, since /etc/passwd is no folder. Name a"]],
    ),
    "one_folder": (
        {"stack_dir": "{folder}/one/", "frontend_port": "29968"},
        [["stack_dir: one_folder_again is the same server, with the same folder {folder}/one, and"]],
    ),
    "one_folder_again": (
        {"stack_dir": "{folder}//one", "frontend_port": "29967"},
        [["stack_dir: one_folder is the same server, with the same folder {folder}/one, and"]],
    ),
    "no_model": ({"llm_proxy_models": []}, [["llm_proxy_models: there is no model"]]),
    "models": (
        {
            "llm_proxy_models": [DEMO, DEMO, {"name": "a b", "provider": "demo"}, {"name": "x", "provider": "acme"}, CLAUDE, GPT],
            "llm_proxy_providers": {
                "local": {"litellm": "openai"},
                "signed": {"litellm": "openai", "api_base": "https://user:password@api.example.com/v1"},
                "typo": {"litellm": "openai", "api_base": "https://api.example.com/v1", "api_key": "k"},
            },
            "llm_proxy_keys": {"openai": "CHANGE_ME", "cohere": "k", "sk-1234": "anthropic", "gemini": "two words"},
            "llm_proxy_uid": "0",
            "llm_proxy_memory_limit": "lots",
        },
        [
            ["llm_proxy_models: the name demo stands twice"],
            ['llm_proxy_models: "a b" cannot name a model'],
            ["llm_proxy_models: x is from the provider acme, which is not known. Use one of anthropic, openai, gemini, demo"],
            ["llm_proxy_providers: local needs", "https://api.example.com/v1"],
            ["llm_proxy_providers: signed needs", "without user, password or query"],
            ["llm_proxy_providers: typo needs", "and nothing else"],
            ['llm_proxy_uid: "0" is not a user id that a service may have'],
            ['llm_proxy_memory_limit: "lots" is not an amount of memory'],
            ["llm_proxy_keys: cohere is not a provider"],
            ["llm_proxy_keys: a name (not shown, it might be a key) is not a provider"],
            ["llm_proxy_keys: there is no key for anthropic, and llm_proxy_models has claude from there"],
            ["llm_proxy_keys: the key for openai is still a placeholder"],
            ["llm_proxy_keys: the key for gemini is not one word of printable ASCII"],
        ],
    ),
    "keys": (
        {
            "llm_proxy_models": [
                {"name": name, "provider": name} for name in ("openai", "anthropic", "gemini", "one", "two", "three", "four")
            ],
            "llm_proxy_providers": {
                name: {"litellm": "openai", "api_base": f"https://{name}.example.com/v1"} for name in ("one", "two", "three", "four")
            },
            "llm_proxy_keys": {
                "openai": "sk-ant-a-vendor-of-another-name",
                "anthropic": '"sk-ant-in-quotes"',
                "gemini": "AIza-with-a-line-end\n",
                "one": [{"name": "a", "key": "k1"}, {"name": "a", "key": "k2", "weight": -1}],
                "two": [{"name": "A!", "key": "k1"}, {"name": "b", "key": ""}],
                "three": {"key": "k"},
                "four": [{"name": "a", "key": "k1", "weight": 0}, {"name": "b", "key": "k1", "weight": 0}],
            },
            "llm_proxy_key_max_age": 0,
        },
        [
            ["llm_proxy_keys: the key for openai looks like one of anthropic's"],
            ["llm_proxy_keys: the key for anthropic has quotation marks around it"],
            ["llm_proxy_keys: the key for gemini is not one word"],
            ["llm_proxy_keys: the weight of the key for one that is called a is not a whole number"],
            ["llm_proxy_keys: two of one's keys are the same, or have the same name"],
            ["llm_proxy_keys: one of the names of two's keys cannot be a name"],
            ["llm_proxy_keys: the key for two that is called b is empty"],
            ["llm_proxy_keys: what stands under three is neither a key nor a list of keys"],
            ["llm_proxy_keys: two of four's keys are the same"],
            ["llm_proxy_keys: every key for four has the weight 0"],
            ["llm_proxy_key_max_age: 0 is no number of days"],
        ],
    ),
    "model_malformed": (
        {"llm_proxy_models": [{"name": "x"}]},
        [["Validation of arguments failed"], ["missing required arguments: provider found in llm_proxy_models"]],
    ),
    "misspelt": (
        # Another role's variables are none of ours.
        {"backend_egress_polcy": "none", "frontend_tsl": "internal", "docker_users": ["ann"], "backend_url": "http://x", "stack_name": "x"},
        [
            ["backend_egress_polcy: there is no such variable. Write backend_egress_policy, if that is what you mean"],
            ["frontend_tsl: there is no such variable. Write frontend_tls"],
        ],
    ),
    "workspace_missing": (
        {
            "backend_workspace": "/no/such/folder",
            "backend_gitconfig": "/no/gitconfig",
            "backend_ssh_dir": "/no/ssh",
            "backend_model": "gpt",
            "backend_permissions": {"bash": "maybe", "edit": {"*": True}},
            "backend_pids_limit": "-5",
            "backend_cpus": "1000000",
        },
        [
            ["backend_workspace: /no/such/folder does not exist"],
            ["backend_gitconfig: /no/gitconfig does not exist"],
            ["backend_ssh_dir: /no/ssh does not exist"],
            ["backend_model: there is no model gpt. Use one of demo"],
            ['backend_permissions: bash is "maybe". Use allow, ask or deny'],
            ['backend_permissions: edit is "True". Use allow, ask or deny'],
            ["backend_pids_limit: -5 is too few"],
            ["backend_cpus: 1000000 is not a share of the host's"],
        ],
    ),
    "workspace_root": ({"backend_workspace": "/"}, [["backend_workspace: / is the whole host"]]),
    "workspace_home": (
        {"backend_workspace": pwd.getpwuid(os.getuid()).pw_dir},
        [["backend_workspace:", "holds", "the system's" if os.getuid() == 0 else "with all that is in it"]],
    ),
    "mount_around_the_stack": (
        {"backend_ssh_dir": "{folder}", "stack_dir": "{folder}/no-such-stack-either"},
        [["backend_ssh_dir: it lies in the stack's folder {folder}/no-such-stack-either, or that in it"]],
    ),
    "mount_of_the_system": (
        {"backend_ssh_dir": "/etc", "backend_gitconfig": "/var"},
        [["backend_gitconfig: /var holds the system's /var/lib"], ["backend_ssh_dir: /etc is of the system's /etc"]],
    ),
    "egress": (
        {
            "backend_egress_policy": "allowlist",
            "backend_egress_hosts": [
                "192.0.2.1",
                "*.github.io",
                ".co.uk",
                "https://github.com/",
                "",
                "github.com:443",
                "a b",
                "github.com",
            ],
        },
        [
            ['backend_egress_hosts: "192.0.2.1" is an address'],
            ['backend_egress_hosts: "*.github.io" means names that anyone may register'],
            ['backend_egress_hosts: ".co.uk" means names that anyone may register'],
            ['backend_egress_hosts: "https://github.com/" is not a host name'],
            ['backend_egress_hosts: "" is not a host name'],
            ['backend_egress_hosts: "github.com:443" is an address, or has a port'],
            ['backend_egress_hosts: "a b" is not a host name'],
        ],
    ),
    "egress_behind": (
        {"llm_proxy_egress_proxy": "http://proxy.lan:65535"},
        [["backend_egress_policy: public cannot be kept behind a proxy (llm_proxy_egress_proxy)", "Use allowlist"]],
    ),
    "egress_login": (
        {"llm_proxy_egress_proxy": "http://proxy.lan:3128", "llm_proxy_egress_proxy_login": "a-password", "backend_egress_policy": "none"},
        [["llm_proxy_egress_proxy_login: that is not a login. It looks like user:password, in one line."]],
    ),
    "egress_proxy": (
        {"llm_proxy_egress_proxy": "http://user:password@proxy.lan:3128", "backend_egress_policy": "none"},
        [["llm_proxy_egress_proxy: that is not the address of a proxy", "user and password go into llm_proxy_egress_proxy_login"]],
    ),
    "egress_no_proxy": ({"llm_proxy_egress_proxy_login": "a:b"}, [["llm_proxy_egress_proxy_login: there is no proxy that it is for"]]),
    "egress_empty": ({"backend_egress_policy": "allowlist"}, [["backend_egress_hosts: the list is empty"]]),
    "egress_unknown": (
        {"backend_egress_policy": "some"},
        [["Validation of arguments failed"], ["must be one of: public, allowlist, none, got: some"]],
    ),
    "upstreams": (
        {
            "llm_proxy_providers": {
                "plain": {"litellm": "openai", "api_base": "http://api.example.com/v1"},
                "lan": {"litellm": "openai", "api_base": "https://10.0.0.5/v1", "keyless": True},
                "named": {"litellm": "openai", "api_base": "https://gpu.lan/v1"},
                "loopback": {"litellm": "openai", "api_base": "https://localhost:8443/v1"},
                "address": {"litellm": "openai", "api_base": "https://8.8.8.8/v1"},
                "words": {"litellm": "openai", "api_base": "https://api.example.com/v1", "allow_private": "no"},
                "port": {"litellm": "openai", "api_base": "https://api.example.com:65536/v1"},
                "zero": {"litellm": "openai", "api_base": "https://api.example.com:0/v1"},
                "fine": {"litellm": "openai", "api_base": "http://192.168.1.5:8000/v1", "keyless": True, "allow_private": True},
                "last": {"litellm": "openai", "api_base": "https://api.example.com:65535/v1"},
            },
            "llm_proxy_egress_proxy": "http://proxy.lan:65536",
            "llm_proxy_canary": True,
            "llm_proxy_canary_webhook": "https://hooks.example.com:65536/services/1",
        },
        [
            ["llm_proxy_providers: plain answers at http://api.example.com/v1, where everyone on the way could read"],
            ["llm_proxy_providers: lan answers at 10.0.0.5, which is at a private address"],
            ["llm_proxy_providers: named answers at gpu.lan, which is at a private address"],
            ["llm_proxy_providers: loopback answers at localhost, which is at a private address"],
            ["llm_proxy_providers: address answers at 8.8.8.8, an address, and TLS proves names"],
            ["llm_proxy_providers: words needs", "(true or false)"],
            ["llm_proxy_providers: port needs"],
            ["llm_proxy_providers: zero needs"],
            ["llm_proxy_egress_proxy: that is not the address of a proxy"],
            ["llm_proxy_canary_webhook: that is not an https address"],
        ],
    ),
    "same_model": (
        {
            "llm_proxy_models": [{"name": name, "provider": name, "model": "m"} for name in ("one", "two")],
            "llm_proxy_providers": {
                name: {"litellm": "openai", "api_base": "https://api.example.com/v1"} for name in ("one", "two", "demo")
            },
            "llm_proxy_keys": {"one": "k1", "two": "k2"},
        },
        [
            ["llm_proxy_providers: demo is the built-in demo model"],
            ["llm_proxy_models: one and two are the same model at the same address"],
        ],
    ),
    "workspace_file": (
        {"backend_workspace": "/etc/passwd"},
        [["backend_workspace: /etc/passwd is a file"], ["backend_workspace: /etc/passwd is of the system's /etc"]],
    ),
    "workspace_relative": ({"backend_workspace": "work"}, [['backend_workspace: "work" is not an absolute path']]),
    "path_not_plain": (
        {"backend_gitconfig": "/etc/passwd:/etc/shadow", "backend_ssh_dir": "/etc/$HOME"},
        [
            ["backend_gitconfig: /etc/passwd:/etc/shadow does not exist"],
            ["backend_ssh_dir: /etc/$HOME does not exist"],
            ['backend_gitconfig: "/etc/passwd:/etc/shadow" has a character that a mount cannot have'],
            ['backend_ssh_dir: "/etc/$HOME" has a character that a mount cannot have'],
        ],
    ),
    "stack_dir_not_plain": ({"stack_dir": '/srv/"a" #b'}, [['stack_dir: "/srv/"a" #b" has a character that a mount cannot have']]),
    "port_taken": (
        {"frontend_port": "{port}", "frontend_hosts": ["https://x"]},
        [
            ["frontend_port: port {port} on 127.0.0.1 is used by", "(process {pid})"],
            ['frontend_hosts: "https://x" is not a host name'],
        ],
    ),
    "address": (
        {"frontend_port": 70000, "frontend_listen_address": "0.0.0.0"},
        [
            ["frontend_listen_address: 0.0.0.0 is not a loopback address", "neither TLS (frontend_tls) nor a login (frontend_users)"],
            ["frontend_port: 70000 is not a port"],
        ],
    ),
    "address_without_tls": (
        {"frontend_listen_address": "::", "frontend_users": {"dev": HASH}, "frontend_port": "29980"},
        [["frontend_listen_address: :: is not a loopback address", "no TLS (frontend_tls) in front"], ["frontend_users: a password would"]],
    ),
    "address_without_login": (
        {"frontend_listen_address": "0.0.0.0", "frontend_tls": "internal", "frontend_port": "29981"},
        [["frontend_listen_address: 0.0.0.0 is not a loopback address", "no login (frontend_users) in front"]],
    ),
    "address_without_name": (
        {"frontend_listen_address": "0.0.0.0", "frontend_tls": "internal", "frontend_users": {"dev": HASH}, "frontend_port": "29982"},
        [["frontend_hosts: it is empty, and frontend_listen_address is 0.0.0.0"]],
    ),
    "address_malformed": ({"frontend_listen_address": "eth0"}, [['frontend_listen_address: "eth0" is not an address']]),
    "tls_unknown": (
        # What YAML makes of off.
        {"frontend_tls": False},
        [["Validation of arguments failed"], ["frontend_tls must be one of: none, internal, acme, files, got: False"]],
    ),
    "edge": (
        {
            "frontend_tls": "internal",
            "frontend_session_days": "0",
            "frontend_hsts_days": "-1",
            "frontend_redirect_port": "http",
            "frontend_port": "29983",
            "frontend_trusted_proxies": [
                "192.168.1.300",
                "0.0.0.0/0",
                "::/0",
                "proxy.lan",
                "192.168.1.10",
                "10.0.0.0/24",
                "fd00::5",
                "fd00::/64",
            ],
            "frontend_users": {
                "a b": HASH,
                "none": "",
                "empty": None,
                "plain": "correct horse battery",
                "cheap": "$2b$05$" + "a" * 53,
                "cheaper": HASH.replace("ln=15", "ln=10"),
                "md5": "$apr1$abcdefgh$0123456789012345678901",
                "dear": HASH.replace("ln=15", "ln=24"),
                "fine": "$2y$12$" + "a" * 53,
            },
        },
        [
            ["frontend_users: a name (not shown, it might be a password) is not one of letters"],
            ["frontend_users: none has no password. Give the hash that `make password` prints"],
            ["frontend_users: empty has no password"],
            ["frontend_users: what plain has is not a password's hash (not shown"],
            ["frontend_users: the hash of cheap's password is too cheap to guess"],
            ["frontend_users: the hash of cheaper's password is too cheap to guess"],
            ["frontend_users: what md5 has is not a password's hash"],
            ["frontend_users: what dear has is not a password's hash"],
            ['frontend_trusted_proxies: "192.168.1.300" is not an address'],
            ['frontend_trusted_proxies: "0.0.0.0/0" is not an address, nor a network of at least 8 bits'],
            ['frontend_trusted_proxies: "::/0" is not an address'],
            ['frontend_trusted_proxies: "proxy.lan" is not an address'],
            ["frontend_session_days: 0 is not from 1 to 365 days"],
            ["frontend_hsts_days: -1 is not a number of days"],
            ['frontend_redirect_port: "http" is not a port'],
        ],
    ),
    "proxy": (
        {
            "frontend_proxy_secret": "too short for a secret",
            "frontend_proxy_user_header": "Remote User",
            "frontend_port": "29977",
        },
        [
            ["frontend_proxy_secret: it is not 32 to 256 letters, digits and + / = _ ~ . - (not shown)"],
            ["frontend_proxy_secret: no proxy may use it. Name the proxy's address in frontend_trusted_proxies"],
            ["frontend_proxy_secret: it would cross the network in the clear. Set frontend_tls"],
            ['frontend_proxy_user_header: "Remote User" is not a header that names people'],
        ],
    ),
    "kinds": (
        {
            "frontend_users": ["ann"],
            "llm_proxy_models": {"name": "demo", "provider": "demo"},
            "backend_packages": True,
            "frontend_hosts": 5,
            "frontend_port": "three thousand",
            "llm_proxy_key_max_age": "a year",
        },
        [
            ["llm_proxy_models: it is a mapping, and has to be a list (an entry behind each dash): see roles/llm_proxy/README.md."],
            ["llm_proxy_key_max_age: it is text, and has to be a whole number"],
            ["backend_packages: it is true or false, and has to be a list"],
            ["frontend_port: it is text, and has to be a whole number"],
            ["frontend_hosts: it is a number, and has to be a list"],
            ["frontend_users: it is a list, and has to be a mapping (NAME: VALUE in each line): see roles/frontend/README.md."],
        ],
    ),
    "kinds_of_entries": (
        {
            "llm_proxy_models": [{"name": "demo", "provider": "demo"}, "gpt", None],
            "frontend_hosts": ["code.example.org", None],
            "frontend_port": "29974",
        },
        [
            ["llm_proxy_models: an entry of it is text, and each has to be a mapping"],
            ["llm_proxy_models: an entry of it is empty, and each has to be a mapping"],
            ["frontend_hosts: an entry of it is empty, and each has to be text"],
        ],
    ),
    "texts": (
        # The first three are lists of the command line.
        {
            "llm_proxy_rotate": "openai,anthropic",
            "llm_proxy_revoke": "",
            "stack_rotate_secrets": "all",
            "llm_proxy_models": "demo",
            "backend_packages": "python3, nodejs",
            "backend_egress_hosts": "github.com",
            "frontend_hosts": "code.example.org",
            "frontend_trusted_proxies": "10.0.0.1",
        },
        [
            ["llm_proxy_models: it is text, and has to be a list (an entry behind each dash)"],
            ['backend_packages: "python3, nodejs" is one text. Use a list, such as [python3, nodejs].'],
            ['backend_egress_hosts: "github.com" is one text. Use a list, such as [github.com].'],
            ['frontend_hosts: "code.example.org" is one text. Use a list, such as [code.example.org].'],
            ['frontend_trusted_proxies: "10.0.0.1" is one text. Use a list, such as [10.0.0.1].'],
        ],
    ),
    "empty": (
        {
            **dict.fromkeys(("stack_dir", "stack_bundle", "llm_proxy_models", "llm_proxy_keys", "backend_gitconfig", "backend_packages")),
            **dict.fromkeys(("frontend_tls", "frontend_users", "frontend_proxy_secret", "frontend_acme_private", "frontend_session_days")),
            # As good as an empty text.
            **dict.fromkeys(("stack_backup_password", "llm_proxy_egress_proxy_login", "frontend_acme_email", "frontend_tls_key")),
        },
        [
            ["stack_dir: it is empty. Leave it out, or say what it is to be: see roles/stack/README.md."],
            ['stack_bundle: it is empty. Leave it out, or write "": see roles/stack/README.md.'],
            ["llm_proxy_models: it is empty. Leave it out, or say what it is to be"],
            ["llm_proxy_keys: it is empty. Leave it out, or write {}: see roles/llm_proxy/README.md."],
            ["backend_gitconfig: it is empty"],
            ["backend_packages: it is empty. Leave it out, or write []"],
            ["frontend_tls: it is empty"],
            ["frontend_acme_private: it is empty. Leave it out, or write false"],
            ["frontend_users: it is empty. Leave it out, or write {}"],
            ["frontend_session_days: it is empty"],
            ['frontend_proxy_secret: it is empty. Leave it out, or write ""'],
        ],
    ),
    "no_batch": (
        {"stack_batch": "some", "frontend_port": "29973"},
        [['stack_batch: "some" is neither a number of hosts nor a share of them. Say, for example, 2, 25%, or auto.']],
    ),
    "foreign_folder": (
        {"stack_dir": "/usr/share", "frontend_port": "29975"},
        [["stack_dir: /usr/share holds other things ("]],
    ),
    "proxy_header": (
        {
            "frontend_listen_address": "0.0.0.0",
            "frontend_hosts": ["code.example.org"],
            "frontend_tls": "internal",
            "frontend_trusted_proxies": ["192.168.1.10"],
            "frontend_proxy_secret": "a-secret-that-a-proxy-shows-12345",
            "frontend_proxy_user_header": "X-Forwarded-Host",
            "frontend_port": "29976",
        },
        [['frontend_proxy_user_header: "X-Forwarded-Host" is not a header that names people']],
    ),
    "redirect_without_tls": (
        {"frontend_redirect_port": "29984", "frontend_port": "29985"},
        [["frontend_redirect_port: 29984 would lead to https, and frontend_tls is none"]],
    ),
    "redirect_twice": (
        {"frontend_redirect_port": "29986", "frontend_port": "29986", "frontend_tls": "internal"},
        [["frontend_redirect_port: 29986 is frontend_port, too"]],
    ),
    "redirect_taken": (
        {"frontend_redirect_port": "{port}", "frontend_port": "29987", "frontend_tls": "internal"},
        [["frontend_redirect_port: port {port} on 127.0.0.1 is used by", "(process {pid})"]],
    ),
    "certificate_missing": (
        {"frontend_tls": "files", "frontend_tls_certificate": "/no/such.pem", "frontend_port": "29988"},
        [["frontend_tls_certificate: /no/such.pem on the host cannot be read"], ["frontend_tls_key: it is missing"]],
    ),
    "acme": (
        {
            "frontend_tls": "acme",
            "frontend_hosts": ["code.example.org", "192.0.2.7"],
            "frontend_acme_directory": "http://acme.example.org/directory",
            "frontend_acme_email": "me",
            "frontend_port": "29978",
        },
        [
            ['frontend_acme_directory: "http://acme.example.org/directory" is not the address of a directory'],
            ['frontend_acme_email: "me" is not an address to write to'],
            ["frontend_tls: acme wants a gateway that the authority can reach, and frontend_listen_address is 127.0.0.1"],
            ["frontend_port: it is 29978, and an authority asks at port 443, or 80 (frontend_redirect_port)"],
            ["frontend_hosts: an authority gives certificates for names, and 192.0.2.7 is an address"],
        ],
    ),
    "acme_private": (
        {
            "frontend_tls": "acme",
            "frontend_listen_address": "0.0.0.0",
            "frontend_hosts": ["code.example.org"],
            "frontend_acme_directory": "https://10.0.0.7:65535/acme/home/directory",
            "frontend_users": {"dev": HASH},
            "frontend_port": "29979",
            "frontend_redirect_port": "80",
        },
        [["frontend_acme_directory: 10.0.0.7 is at a private address. If that is your own authority, set frontend_acme_private"]],
    ),
    "source": (
        {"frontend_source": {"git": "https://you:token@example.com/x", "commit": "0" * 40}, "frontend_port": "29996"},
        [["frontend_source:", "without a user or password in https"]],
    ),
    "source_in_production": (
        {"frontend_source": {"folder": "/srv/oc-web"}},
        [["frontend_source: a folder is run from in development alone", "stack_mode"]],
    ),
    "source_of_another_page": (
        {"stack_mode": "development", "frontend_ui": "opencode", "frontend_source": {"folder": "/srv/oc-web"}},
        [["frontend_source: a folder is run from in development alone, and only oc-web's page is", "set frontend_ui to oc-web"]],
    ),
    "source_missing": (
        {"stack_mode": "development", "frontend_source": {"folder": "/no/source"}},
        [["frontend_source: /no/source does not exist"]],
    ),
    "source_exposed": (
        {"stack_mode": "development", "frontend_source": {"folder": "/etc"}},
        [["frontend_source: /etc is of the system's /etc"]],
    ),
    "linked_proxy": (
        {"stack_dir": "{folder}/linked-proxy"},
        [["stack_dir: {folder}/linked-proxy/llm-proxy is in the place of a folder of the stack's, and is a link or a file. Move it out"]],
    ),
    "linked_gateway": (
        {"stack_dir": "{folder}/linked-gateway"},
        [["stack_dir: {folder}/linked-gateway/gateway/config is in the place of a folder of the stack's, and is a link or a file."]],
    ),
    "linked": (
        {"stack_dir": "{folder}/linked"},
        [["stack_dir: {folder}/linked/backend is in the place of a folder of the stack's, and is a link or a file. Move it out"]],
    ),
    # A user id stands in files as a number.
    "source_owner": (
        {"stack_mode": "development", "frontend_source": {"folder": "{folder}/source"}, "frontend_uid": SOMEONE, "frontend_hsts_days": -1},
        [["frontend_hsts_days: -1 is not a number of days"]],
    ),
    "source_of_another": (
        {"stack_mode": "development", "frontend_source": {"folder": "{folder}/source"}, "frontend_uid": SOMEONE + 1},
        [[f"frontend_uid: it is {SOMEONE + 1}, and the source {{folder}}/source belongs to {SOMEONE}, as whom the page has to run"]],
    ),
    "source_relative": (
        {"stack_mode": "development", "frontend_source": {"folder": "oc-web"}},
        [['frontend_source: "oc-web" is not an absolute path']],
    ),
    "source_unknown": (
        {"stack_mode": "development", "frontend_source": "main"},
        [["frontend_source: it is neither npm nor", "nor one with folder"]],
    ),
    "debug_port": (
        {"stack_mode": "development", "backend_debug_port": "70000"},
        [["backend_debug_port: 70000 is not a port", "0 for none"]],
    ),
    "debug_port_twice": (
        {"stack_mode": "development", "backend_debug_port": "29990", "frontend_port": "29990"},
        [["backend_debug_port: 29990 is frontend_port too"]],
    ),
    "debug_port_taken": (
        {"stack_mode": "development", "backend_debug_port": "{port}"},
        [["backend_debug_port: port {port} on 127.0.0.1 is used by"]],
    ),
    "line_end": (
        {"backend_egress_policy": "allowlist", "backend_egress_hosts": ["github.com\n"]},
        [['backend_egress_hosts: "github.com'], ['" is not a host name']],
    ),
    "value_unknown": (
        {"frontend_ui": "emacs"},
        [["Validation of arguments failed"], ["frontend_ui must be one of: oc-web, opencode, got: emacs"]],
    ),
}


# Only a deploy by root has users to choose from.
WORKSPACE = Path.home() / "workspace"
AGENT = WORKSPACE.stat().st_uid if WORKSPACE.exists() else 1000
if os.getuid() == 0 and AGENT != 0:
    CASES["shared_uid"] = (
        {"llm_proxy_uid": str(AGENT), "backend_uid": str(AGENT)},
        [["backend_workspace:", f"belongs to user id {AGENT}, which is another service's too"]],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ours, with oc-web's source code in it, and stacks of which a part was moved elsewhere."""
    made = tmp_path_factory.mktemp("bad_input")
    (made / "source").mkdir()
    (made / "source/package.json").write_text("{}", encoding="utf-8")
    (made / "source/bun.lock").write_text("{}", encoding="utf-8")
    os.chown(made / "source", SOMEONE, -1)
    for name in ("linked/backend", "linked-proxy/llm-proxy", "linked-gateway/gateway/config"):
        (made / name).parent.mkdir(parents=True)
        (made / name).symlink_to(made if name == "linked/backend" else made / "nothing")
    return made


@pytest.fixture(scope="module")
def filled(taken_port: int, folder: Path) -> Callable[[str], str]:
    """What fills into a text what is known only now."""

    def fill(text: str) -> str:
        for name, value in {"{port}": taken_port, "{pid}": os.getpid(), "{folder}": folder}.items():
            text = text.replace(name, str(value))
        return text

    return fill


@pytest.fixture(scope="module")
def errors(filled: Callable[[str], str], engine_path: str, folder: Path) -> dict[str, list[str]]:
    """The errors of each case's host, from one run in check mode: a check that is blind then still changes nothing."""
    hosts = {name: json.loads(filled(json.dumps(given))) for name, (given, _) in CASES.items()}
    # One server with one folder may not be two hosts. Ports are below those that the system gives to anyone who asks.
    common = {"frontend_port": "29900", "stack_dir": f"{folder}/no-such-{{{{ inventory_hostname }}}}"}
    return plays.errors(plays.run(folder, hosts, common, "site.yml", "--check", "--forks=4", path=engine_path).stdout, CASES)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_clear_error(errors: dict[str, list[str]], filled: Callable[[str], str], case: str) -> None:
    assert len(errors[case]) == 1
    lines = errors[case][0].splitlines()
    assert len(lines) == len(CASES[case][1])
    for line, words in zip(lines, CASES[case][1], strict=True):
        assert [each for each in words if filled(each) not in line] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stack_backup_dir": "backups"}, 'stack_backup_dir: "backups" is not an absolute path.'),
        ({"stack_backup_password": None}, "stack_backup_password: there is none, and a backup is encrypted with it."),
    ],
)
def test_a_backup_tells_of_bad_input_too(engine_path: str, tmp_path: Path, given: dict[str, Any], words: str) -> None:
    done = plays.run(tmp_path, {"one": {"stack_dir": f"{tmp_path}/none", **given}}, {}, "playbooks/backup.yml", path=engine_path)
    [said] = plays.errors(done.stdout, {"one": given})["one"]
    assert said.startswith(words)
