"""Runs a program made of several modules on a host, in one round trip and without a file.

Called as ``python3 -c THIS`` with one JSON object on standard input: ``modules`` ({name: source}, what is imported before what imports it),
``program`` (one of their names), ``question``. The program's ``answer(question)`` returns what is printed as JSON; ``error`` in it is
"", or why nothing came of it. Secrets may be in the question: they stand in no command line.
"""

from __future__ import annotations

import json
import sys
import traceback
import types


def load(modules: dict[str, str]) -> None:
    """Make the modules importable by their names; each has its own text as SOURCE."""
    for name, source in modules.items():
        module = types.ModuleType(name)
        module.__dict__["SOURCE"] = source
        sys.modules[name] = module
        exec(compile(source, f"{name}.py", "exec"), module.__dict__)


def main() -> None:
    order = json.load(sys.stdin)
    load(order["modules"])
    try:
        done = {"error": "", **sys.modules[order["program"]].answer(order["question"])}
    except sys.modules["folder"].Refusal as refusal:
        done = {"error": str(refusal), "changed": refusal.changed}
    except Exception:
        done = {"error": traceback.format_exc(), "changed": True}
    print(json.dumps(done))


if __name__ == "__main__":
    main()
