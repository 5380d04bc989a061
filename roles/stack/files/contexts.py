"""Makes the folders that images are built in, in one round trip.

Called as ``python3 -c THIS FOLDER`` with {service: {file name: text}} as JSON on standard input. Afterwards
FOLDER/service/image holds these files and no others: one that a release dropped would be in no image's tag, but in the image.
"""

import json
import sys
from pathlib import Path


def write(folder: Path, files: dict[str, str]) -> None:
    """Make ``folder`` hold exactly ``files``, readable by everyone."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)


if __name__ == "__main__":
    for service, files in json.load(sys.stdin).items():
        write(Path(sys.argv[1], service, "image"), files)
