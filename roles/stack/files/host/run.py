"""Runs a program of several modules on a host, in one round trip: ``python3 -c THIS`` with JSON on standard input.

``modules`` ({name: source}, each before those that import it; the last one has the ``main``) and ``question``, which goes to it. What it
returns is printed as one line of JSON. Each module finds its own text as SOURCE. Nothing is written to the host for it, and what is secret
in the question is in no command line.
"""

import json
import sys
import types

given = json.load(sys.stdin)
program = types.ModuleType("none")
for name, source in given["modules"].items():
    program = sys.modules[name] = types.ModuleType(name)
    program.__dict__["SOURCE"] = source
    exec(compile(source, f"{name}.py", "exec"), program.__dict__)
print(json.dumps(program.main(given["question"])))
