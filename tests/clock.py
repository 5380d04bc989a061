"""The clock of a test."""


class Clock:
    """Seconds since 1970 that pass when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
