"""Load on a stack: people's requests, streams among them, from the backend's container through the whole chain to the fake providers."""

import json
import os
import re
import shlex
import time
from dataclasses import dataclass, field

from bed import Internet, Server

# `full` is what `make bench-rotation` measures; the tests are content with less.
FULL = os.environ.get("OCWEB_LOAD") == "full"
MODELS = {"openai": "gpt", "anthropic": "claude", "gemini": "gemini", "house": "house"}
FOLDER = "/tmp/load"
URL = "http://llm-proxy:4000/v1/chat/completions"
MARK = "@@answer@@"
BEGIN = "@@begin@@"
# So many streams more than asked for: that many may be between two answers at a time.
SPARE = 22

# Each lane asks again as soon as it was answered, until it is told to stop. curl's glob behind a # asks the same address several times.
LANES = rf"""
rm -rf {FOLDER}; mkdir {FOLDER}; cd {FOLDER}
ask() {{
  printf '\n{BEGIN} %s\n' "$EPOCHREALTIME"
  curl --silent --max-time 120 --header 'Content-Type: application/json' --rate "$2" --data "$1" \
    --write-out '\n{MARK} %{{http_code}} %{{exitcode}} %{{time_total}} %{{errormsg}}\n' '{URL}#[1-'"$3"']'
}}
lane() {{ while [ ! -e stop ]; do ask "$2" "$3" "$4" >>"$1"; done; }}
"""
COLLECT = f"""
cd {FOLDER}; touch stop; until [ -e ended ]; do sleep 0.1; done
for lane in lane-*; do echo "@@lane@@ $lane"; cat $lane; done
"""


@dataclass
class Answers:
    """What came of a load: how many whole answers of each kind, and what was not one."""

    plain: dict[str, int] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    # How long each whole plain one took.
    seconds: list[float] = field(default_factory=list)
    # From when each stream was asked for to its end, in seconds since the epoch.
    open: list[tuple[float, float]] = field(default_factory=list)

    def fewest(self, begin: float, end: float) -> int:
        """Return how few streams were open at any time between two moments, as those saw it who asked."""
        steps = sorted([(first, 1) for first, _ in self.open] + [(last, -1) for _, last in self.open])
        now = sum(step for at, step in steps if at <= begin)
        found = now
        for at, step in steps:
            if begin < at <= end:
                now += step
                found = min(found, now)
        return found

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.plain.values()) + sum(self.streams.values()) + len(self.failed)


class Load:
    """Lanes of requests, one after the other in each: `streams` of them stream, and each provider gets `rate` plain ones a second.

    There are a few streams more than asked for, so that those asked for are open while others begin anew.
    """

    def __init__(self, server: Server, internet: Internet, streams: int = 20, rate: float = 6, project: str = "ocweb") -> None:
        self.server = server
        self.internet = internet
        self.container = f"{project}-backend-1"
        self.wanted = streams
        self.lanes: dict[str, tuple[str, bool]] = {}
        script = LANES
        for number in range(streams + SPARE):
            # Of different lengths, so that they do not all end at once.
            script += self._lane(list(MODELS)[number % len(MODELS)], f"SLOW:{6 + number % 12}", "1000/s", stream=True)
        for provider in MODELS:
            script += self._lane(provider, "hello", f"{round(rate * 60)}/m", stream=False)
        self.streaming = [name for name, (_, stream) in self.lanes.items() if stream]
        self.script = f"{script}wait; touch ended"

    def _lane(self, provider: str, prompt: str, rate: str, stream: bool) -> str:
        name = f"lane-{len(self.lanes)}"
        self.lanes[name] = (provider, stream)
        body = {"model": MODELS[provider], "stream": stream, "messages": [{"role": "user", "content": prompt}]}
        return f"lane {name} {shlex.quote(json.dumps(body))} {rate} {1 if stream else 10} &\n"

    def start(self) -> None:
        """Begin, and come back once all streams are open."""
        self.server.output("docker", "exec", "--detach", self.container, "bash", "-c", self.script)
        begun = f"grep -l '^data:' {' '.join(self.streaming)} 2>/dev/null | wc -l"
        every = f"cd {FOLDER}; until [ $({begun}) = {len(self.streaming)} ]; do sleep 0.1; done"
        self.server.output("docker", "exec", self.container, "timeout", "60", "bash", "-c", every)

    def wait_for(self, count: int, seconds: float = 900) -> None:
        """Wait until the providers have answered so many requests since they forgot what was before.

        Raises:
            TimeoutError: they have not in time, as where a lane has died.
        """
        end = time.monotonic() + seconds
        while (answered := self.answered()) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{answered} of {count} requests were answered in {seconds} s")
            time.sleep(0.5)

    def answered(self) -> int:
        """Return how many requests the providers have answered."""
        accounts = self.internet.accounts().values()
        return sum(use["statuses"].get("200", 0) for account in accounts for use in account["keys"].values())

    def stop(self) -> Answers:
        """End it once every request is answered, and look at each answer."""
        said = self.server.output("docker", "exec", self.container, "timeout", "240", "bash", "-c", COLLECT, timeout=300)
        found = Answers()
        for part in said.split("@@lane@@ ")[1:]:
            name, _, text = part.partition("\n")
            provider, stream = self.lanes[name]
            for batch in text.split(f"\n{BEGIN} ")[1:]:
                begin, _, rest = batch.partition("\n")
                at = float(begin)
                for body, outcome in re.findall(rf"(.*?)\n{MARK} ([^\n]*)\n", rest, re.DOTALL):
                    last = float(outcome.split(" ")[2])
                    if stream:
                        found.open.append((at, at + last))
                    at += last
                    if wrong := trouble(outcome, body, stream):
                        found.failed.append(f"{provider} {'stream' if stream else 'plain'}: {wrong}")
                    else:
                        found.seconds += [] if stream else [last]
                        kind = found.streams if stream else found.plain
                        kind[provider] = kind.get(provider, 0) + 1
        return found


def trouble(outcome: str, body: str, stream: bool) -> str:
    """Return what is wrong with an answer; "" where it is whole."""
    status, exit_code, *_ = outcome.split(" ")
    if (status, exit_code) != ("200", "0"):
        return f"{outcome}: {body[-400:]}"
    if not stream:
        whole = body.lstrip().startswith("{") and "This is the fake" in body and '"error"' not in body
        return "" if whole else f"not the answer: {body[-400:]}"
    events = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        return f"the stream ended early: {body[-400:]}"
    return next((f"an error in the stream: {event[:400]}" for event in events if '"error"' in event), "")
