"""What the attacks have in common; see suite.py for the options, report.py for what becomes of the results."""

import suite

pytest_plugins = ["report"]
suite.install(globals())
