"""Writes and checks bundles: all that a deploy needs, for hosts that reach nothing. It runs on the machine that deploys.

Usage: bundle.py check FOLDER [NAME...] prints {"manifest": ..., "problem": ..., "here": this collection's version} as JSON. It reads
FOLDER/manifest.json, and of the files in it those that are named, or lie in a folder that is named: each has to be there, with the sha256
that the manifest says. "problem" is "" where all is well.

Usage: bundle.py make, with one JSON object on standard input: ``staging`` (a folder whose content becomes the bundle's),
``folder`` (where the archive is to be), ``manifest`` (what it says besides version and files). It prints the archive's
{"path", "size" in bytes, "sha256"} as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

FORMAT = 1
PROJECT = Path(__file__).resolve().parents[4]
PARTS = {"version": str, "architecture": str, "distribution": str, "images": dict, "files": dict, "variables": dict}
# Of a project that is in no repository: what is made there, and is not the project.
MADE = {".git", ".venv", ".venv-uv", ".cache", ".ansible", "artifacts", "bundle", "dist", "__pycache__"}
# Those of the project. Others may have a vault in them.
INVENTORIES = {"example", "local"}


def sha256(path: Path) -> str:
    """Return the file's digest in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check(folder: Path, names: list[str]) -> dict[str, Any]:
    """Return the manifest of the bundle in ``folder``, and what is wrong with it or with the files that ``names`` means."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        complete = manifest["format"] == FORMAT and all(isinstance(manifest[part], kind) for part, kind in PARTS.items())
    except OSError:
        return {"manifest": {}, "problem": f"{folder} has no manifest.json. Name the folder `bundle` of an unpacked bundle"}
    except (ValueError, KeyError, TypeError):
        complete = False
    if not complete:
        return {
            "manifest": {},
            "problem": f"{folder}/manifest.json is not a manifest that this version reads. Unpack or make the bundle again",
        }
    for name, digest in manifest["files"].items():
        if name in names or name.partition("/")[0] in names:
            path = folder / name
            if not path.is_file():
                return {"manifest": manifest, "problem": f"{path} is missing. Unpack the bundle again"}
            if sha256(path) != digest:
                return {
                    "manifest": manifest,
                    "problem": f"{path} is not the file that was bundled (its sha256 is another). Unpack it again",
                }
    return {"manifest": manifest, "problem": ""}


def version(project: Path) -> str:
    """Return the collection's version, from its source or as it was installed."""
    if (project / "MANIFEST.json").exists():
        return str(json.loads((project / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]["version"])
    found = re.search(r"^version: (\S+)$", (project / "galaxy.yml").read_text(encoding="utf-8"), re.M)
    if not found:
        raise ValueError(f"{project}/galaxy.yml has no version")
    return found.group(1)


def project_files(project: Path) -> list[str]:
    """Return the project's files, without others' inventories: what git tracks, or, without a repository, all but what is made there."""
    if (project / ".git").exists():
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=project, check=True, capture_output=True, text=True).stdout
        found = [name for name in tracked.split("\0") if name and (project / name).is_file()]
    else:
        found = []
        for parent, folders, files in os.walk(project):
            folders[:] = sorted(set(folders) - MADE)
            found += [os.path.relpath(os.path.join(parent, name), project) for name in sorted(files)]
    return [name for name in found if not name.startswith("inventories/") or name.split("/")[1] in INVENTORIES]


def make(project: Path, staging: Path, folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write the archive; whoever is killed meanwhile leaves none that looks whole."""
    files = {path.relative_to(staging).as_posix(): path for path in sorted(staging.rglob("*")) if path.is_file()}
    known = {"format": FORMAT, "version": version(project), **manifest, "files": {name: sha256(path) for name, path in files.items()}}
    (staging / "manifest.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    parts = ("ocweb-bundle", known["version"], known["distribution"], known["architecture"])
    # Distribution and architecture are the host's words, and name a file here.
    if strange := [part for part in parts if not re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9._+-]*)?", part)]:
        sys.exit(f"The host says that it is {strange[0]!r}, which cannot name a file. No bundle was made.")
    path = folder / f"{'-'.join(filter(None, parts))}.tar"
    top = f"ocweb-{known['version']}"

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    unfinished = path.with_suffix(".part")
    with tarfile.open(unfinished, "w") as archive:
        for name in project_files(project):
            archive.add(project / name, f"{top}/{name}", recursive=False, filter=anonymous)
        for name in ("manifest.json", *files):
            archive.add(staging / name, f"{top}/bundle/{name}", recursive=False, filter=anonymous)
    unfinished.replace(path)
    return {"path": str(path), "size": path.stat().st_size, "sha256": sha256(path)}


def main() -> None:
    """Check a bundle (`check FOLDER [FILE...]`) or make one (`make`, its question in JSON on standard input); print the answer in JSON."""
    if sys.argv[1] == "check":
        answer = {**check(Path(sys.argv[2]), sys.argv[3:]), "here": version(PROJECT)}
    else:
        question = json.load(sys.stdin)
        answer = make(PROJECT, Path(question["staging"]), Path(question["folder"]), question["manifest"])
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
