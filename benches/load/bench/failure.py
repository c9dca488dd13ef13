"""Failures of programs under test."""


class Ended(BaseException):
    """The whole run has to end now."""


class Failure(Exception):
    """One program failed, for a reason, with the last lines that it wrote."""

    def __init__(self, who, why, log=None):
        super().__init__(who, why)
        self.who, self.why, self.log = who, why, log

    def __str__(self):
        text = f"{self.who} failed: {self.why}"
        if self.log and self.log.exists():
            lines = self.log.read_text(errors="replace").splitlines()[-8:]
            text += "".join(f"\n    {line[:400]}" for line in lines) or "\n    (its log is empty)"
        return text
