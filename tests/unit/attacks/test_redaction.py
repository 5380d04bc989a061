"""Secrets are left out, and what helps is not."""

import pytest
from redaction import redacted


@pytest.mark.parametrize(
    "secret",
    ["sk-ant-api03-Zm9vYmFyYmF6cXV4MTIz", "AIzaSyA1234567890abcdefghij", "0123456789abcdef0123456789abcdef", "a_b-c_d-e_f-g_h-i_j-1"],
)
def test_what_may_be_a_secret_is_left_out(secret: str) -> None:
    assert (
        redacted(f"said 'key={secret}', twice: {secret}")
        == f"said 'key=[{len(secret)} characters left out]', twice: [{len(secret)} characters left out]"
    )


@pytest.mark.parametrize(
    "text", ["test_what_is_mounted_read_only_is_so_to_the_kernel", "00000000000000000000000", "172.19.0.3:4000", "HTTP/1.1 200 OK", ""]
)
def test_what_is_not_is_kept(text: str) -> None:
    assert redacted(text) == text
