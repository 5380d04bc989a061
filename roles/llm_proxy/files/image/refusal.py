"""A refusal that a caller understands: a status and an error in OpenAI's shape. Standard library only."""

import json


class RefusedError(Exception):
    """A request that is not served; `status` is the HTTP status, `param` the field at fault, `code` a short name of the reason."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code

    def body(self) -> bytes:
        """The answer's body, JSON."""
        return error_body(str(self), self.kind, self.param, self.code)


def error_body(message: str, kind: str, param: str | None, code: str | None) -> bytes:
    """An error as OpenAI's API writes it; `kind` goes out as `type`."""
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()
