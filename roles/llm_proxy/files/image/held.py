"""Everything secret that this process holds, as it is at the moment: nothing here needs a restart to be replaced. Standard library only."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from decoy import Decoy
from egress_watch import EgressWatch
from events import EventLog
from key_ring import KeyRing
from masking import Masker
from secret_files import SecretFiles
from usage import Usage
from watched import WatchedFolder

MASTER_KEY_FILE = "LLM_PROXY_MASTER_KEY_FILE"
MASTER_KEY_MIN_CHARS = 32
# Files beside the master key's, where there is a decoy.
DECOY = "canary"
WEBHOOK = "canary_webhook"
EGRESS_LOG = Path("/run/egress/canary.log")


@dataclass
class Held:
    """The keys, the master key, what takes both out of what is said, and what looks for the decoy."""

    ring: KeyRing
    masker: Callable[[], Masker]
    master_key: Callable[[], str]
    decoy: Decoy


class MasterKey:
    """The master key in the file `name` of a folder."""

    def __init__(self, folder: WatchedFolder, name: str) -> None:
        self._folder = folder
        self._name = name

    def __call__(self) -> str:
        """The key as it is now; "" where there is none, or one shorter than 32 characters."""
        key = self._folder.texts().get(self._name, "")
        return key if len(key) >= MASTER_KEY_MIN_CHARS and key.isascii() else ""


def held_here(environ: Mapping[str, str] = os.environ) -> Held:
    """What the container mounts.

    Exits the process with one line on stderr when the master key is missing or too short.
    """
    if MASTER_KEY_FILE not in environ:
        sys.exit(f"llm-proxy: {MASTER_KEY_FILE} is not set; it names the file that holds the master key")
    file = Path(environ[MASTER_KEY_FILE])
    keys, secrets = WatchedFolder(Path(environ["LLM_PROXY_KEYS_DIR"])), WatchedFolder(file.parent)
    master_key = MasterKey(secrets, file.name)
    if not master_key():
        reason = f"has fewer than {MASTER_KEY_MIN_CHARS} characters" if file.name in secrets.texts() else "does not exist"
        sys.exit(f"llm-proxy: the master key in {file} {reason}, or cannot be read")
    state = Path(environ["LLM_PROXY_STATE_DIR"])
    config = WatchedFolder(Path(environ["CONFIG_FILE_PATH"]).parent)
    ring = KeyRing(keys, config, Usage(state / "usage.json"))
    events = EventLog(state / "events.jsonl", lambda: secrets.texts().get(WEBHOOK, ""))
    decoy = Decoy(lambda: secrets.texts().get(DECOY, ""), events)
    EgressWatch(EGRESS_LOG, state / "egress.place", events).start()
    return Held(ring, SecretFiles([keys, secrets]).masker, master_key, decoy)
