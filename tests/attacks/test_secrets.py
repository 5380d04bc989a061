"""The keys, and the two generated secrets, are where they belong and nowhere else. None of them leaves the server for these tests."""

import shlex

import pytest
from stack import SERVICES, Stack
from suite import bed, control, thorough

MASTER_KEY = "llm-proxy/secrets/master_key"
PASSWORD = "backend/secrets/password"

OURS = "$(docker ps --all --quiet --filter label=com.docker.compose.project={project})"
IMAGES = "$(docker image ls --quiet 'localhost/{project}/*' | sort -u)"
PLACES = {
    "what the engine says of the containers": f"docker container inspect {OURS}",
    "what the engine says of the images": f"docker image inspect {IMAGES}",
    "the images' histories": f"for image in {IMAGES}; do docker image history --no-trunc $image; done",
    "the rendered description": "cd {folder}; cat *.yml *.env *.log */config/* */image/*; docker compose config",
    "every command line": "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
}


@control("key-files")
def test_a_secret_can_be_read_only_by_whom_it_is_for(stack: Stack) -> None:
    """Looks at the owners and modes of the secrets, and of the folders that they lie in."""
    listed = stack.server.check_output(
        f"stat --format '%n %a %u' {stack.folder}/llm-proxy/keys {stack.folder}/llm-proxy/secrets {stack.folder}/backend/secrets "
        + shlex.join([*stack.key_files(), f"{stack.folder}/{PASSWORD}"])
    )
    owner = {service: stack.containers[service]["Config"]["User"].split(":")[0] for service in ("llm-proxy", "backend")}
    # In a folder of its own, the workspace's owner could put a link to anything in the place of what a deploy gives to them.
    deployer = stack.server.check_output("id -u")
    for line in listed.splitlines():
        path, mode, uid = line.split()
        service = path.removeprefix(f"{stack.folder}/").split("/")[0]
        shared = service == "backend"  # with the frontend's group
        is_folder = path.endswith(("/keys", "/secrets"))
        assert (mode, uid) == {
            (True, True): ("755", deployer),
            (True, False): ("440", owner[service]),
            (False, True): ("700", owner[service]),
            (False, False): ("400", owner[service]),
        }[shared, is_folder], path


@control("key-files")
def test_no_other_account_can_read_a_key(stack: Stack) -> None:
    """Tries to read them as another user of the server."""
    if stack.server.check_output("id -u") != "0":
        pytest.skip("only root can become another user")
    for path in stack.key_files():
        tried = stack.server.run(f"setpriv --reuid=65534 --regid=65534 --clear-groups cat {shlex.quote(path)}")
        assert "Permission denied" in tried.stderr, path


@control("no-key-elsewhere")
@pytest.mark.parametrize("place", PLACES)
def test_no_key_is_in(stack: Stack, place: str) -> None:
    """Searches for each key."""
    size, found = stack.leaked(PLACES[place].replace("{project}", stack.project).replace("{folder}", stack.folder))
    assert size > 100
    assert found == []


@control("no-key-elsewhere")
def test_no_process_has_a_key_in_its_environment(stack: Stack) -> None:
    """Searches the environments of all processes of the stack."""
    names = " ".join(stack.name(service) for service in SERVICES)
    pids = f"$(for name in {names}; do docker top $name -o pid | tail -n +2; done)"
    size, found = stack.leaked(f"for pid in {pids}; do cat /proc/$pid/environ; done")
    assert size > 500
    assert found == []


@control("no-key-elsewhere")
@thorough
def test_no_image_holds_a_key(stack: Stack) -> None:
    """Searches the layers of the images."""
    images = f"$(docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' 'localhost/{stack.project}/*')"
    # Through a pipe: the layers are larger than what may be kept in memory.
    patterns = shlex.join(stack.key_files())
    count = stack.server.check_output(
        f"umask 077; all=$(mktemp -p /dev/shm); trap 'rm -f $all' EXIT; for key in {patterns}; do cat $key; echo; done | grep . >$all;"
        f" docker save {images} | grep --text --count --fixed-strings --file=$all || true"
    )
    assert count == "0"


@control("no-key-elsewhere")
@thorough
def test_no_copy_was_left_on_the_server(stack: Stack) -> None:
    """Searches the folders where an edit, a backup or a deploy could leave one."""
    grep = "grep --recursive --text --no-messages --files-with-matches --fixed-strings --file=$key"
    places = f"{stack.folder} /tmp /var/tmp /root /home /etc /run/user"
    for key in stack.key_files():
        found = set(stack.server.run(f"key={shlex.quote(key)}; {grep} {places}").stdout.split())
        assert found == {key}


@control("key-mount")
def test_only_the_proxy_mounts_the_keys(stack: Stack) -> None:
    """Looks for a mount through which another service would have them."""
    for service in SERVICES:
        sources = [mount["Source"] for mount in stack.containers[service]["Mounts"]]
        near = [
            source
            for source in sources
            if source.startswith(f"{stack.folder}/llm-proxy") or f"{stack.folder}/".startswith(source.rstrip("/") + "/")
        ]
        assert (near == []) == (service != "llm-proxy"), f"{service}: {near}"


@control("key-mount", "no-key-elsewhere")
@pytest.mark.parametrize(
    "service",
    ["backend", pytest.param("frontend", marks=thorough), pytest.param("gateway", marks=thorough), pytest.param("egress", marks=thorough)],
)
def test_a_service_without_keys_finds_none(stack: Stack, service: str) -> None:
    """Reads everything that the service can read, its own memory of environments included."""
    files = "$(find / -xdev -type f -readable -size -2M ! -path '/usr/*' ! -path '/proc/*' ! -path '/sys/*' 2>/dev/null)"
    read = f"cat {files} /run/secrets/*/* /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/mounts 2>/dev/null"
    marker = [f"{stack.folder}/{PASSWORD}"] if service in ("backend", "frontend") else []
    size, found = stack.leaked(f"docker exec {stack.name(service)} sh -c {shlex.quote(read)}", [*stack.key_files(), *marker])
    assert size > 100
    assert found == ([PASSWORD] if marker else [])


@control("no-key-elsewhere")
@bed
def test_the_agent_learns_no_key_by_asking(stack: Stack) -> None:
    """Asks OpenCode for all that it knows: configuration, providers, agents, sessions."""
    sign_in = """printf 'user = "opencode:%s"\\n' "$(cat /run/secrets/backend/password)" | curl --config - --silent"""
    urls = " ".join(
        f"http://backend-app:4096/{path}" for path in ("config", "config/providers", "provider", "agent", "session", "project", "path")
    )
    size, found = stack.leaked(f"docker exec {stack.name('backend')} sh -c {shlex.quote(f'{sign_in} {urls}')}")
    assert size > 1000
    assert found == []


@control("key-files")
@pytest.mark.parametrize("secret", [MASTER_KEY, PASSWORD])
def test_a_generated_secret_is_long_and_random(stack: Stack, secret: str) -> None:
    """Counts its characters, and how many different ones there are."""
    path = shlex.quote(f"{stack.folder}/{secret}")
    length, different = stack.server.check_output(f"wc -c <{path}; fold -w1 {path} | sort -u | wc -l").split()
    assert int(length) >= 48
    assert int(different) > 20
