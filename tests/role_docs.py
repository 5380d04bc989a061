"""Writes each role's README.md from its argument_specs, or says which of them is out of date.

Usage: role_docs.py [--write]; without it nothing is written, and the exit code is 1 if a README differs.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROLES = sorted(path.parent.parent for path in Path(__file__).parents[1].glob("roles/*/meta/argument_specs.yml"))

# What the tool shows instead imports the role alone.
EXAMPLE = """The roles stand on each other, and none is used alone:

```yaml
- name: Deploy the workbench
  ansible.builtin.import_playbook: ocweb.stack.site
```
"""


def generated(role: Path) -> str:
    """Return the README that aar-doc makes of a role."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "README.md"
        tool = Path(sys.executable).with_name("aar-doc")
        subprocess.run([tool, "--output-file", output, "--output-mode", "replace", role, "markdown"], check=True, capture_output=True)
        text = re.sub(r"(## Example Playbook\n\n).*?(\n## )", rf"\1{EXAMPLE}\2", output.read_text(encoding="utf-8"), flags=re.S)
        return text.rstrip() + "\n"


def current(role: Path) -> str:
    """Return the README that a role has, "" if it has none."""
    readme = role / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


def main() -> int:
    stale = [role for role in ROLES if current(role) != generated(role)]
    if "--write" in sys.argv:
        for role in stale:
            (role / "README.md").write_text(generated(role), encoding="utf-8")
        return 0
    for role in stale:
        print(f"{role.name}/README.md is not what its variables say: run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
