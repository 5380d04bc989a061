"""What the load takes for an answer, and what not: a check that is blind would find no failure in any rotation."""

import pytest
from load import Answers, trouble

PLAIN = '{"choices": [{"message": {"content": "This is the fake openai."}}]}'
STREAM = 'data: {"choices": [{"delta": {"content": "This is "}}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(("body", "stream"), [(PLAIN, False), (STREAM, True)])
def test_a_whole_answer_is_no_trouble(body: str, stream: bool) -> None:
    assert trouble("200 0 0.1 0.2 ", body, stream) == ""


@pytest.mark.parametrize(
    ("outcome", "body", "stream", "said"),
    [
        ("503 0 0.1 0.2 ", '{"error": {}}', False, "503 0"),
        ("000 7 Could not connect", "", False, "Could not connect"),
        ("200 18 transfer closed", PLAIN, False, "transfer closed"),
        ("200 0 0.1 0.2 ", "{}", False, "not the answer"),
        ("200 0 0.1 0.2 ", PLAIN.replace("}}]}", '}}], "error": "x"}'), False, "not the answer"),
        ("200 0 0.1 0.2 ", STREAM.replace("data: [DONE]", ""), True, "ended early"),
        ("200 0 0.1 0.2 ", "", True, "ended early"),
        ("200 0 0.1 0.2 ", 'data: {"error": {"message": "no"}}\n\ndata: [DONE]\n\n', True, "an error in the stream"),
    ],
)
def test_anything_else_is(outcome: str, body: str, stream: bool, said: str) -> None:
    assert said in trouble(outcome, body, stream)


def test_the_fewest_open_streams_are_those_between_two_moments() -> None:
    answers = Answers(open=[(0, 10), (1, 4), (5, 9), (2, 20)])
    assert answers.fewest(3, 8) == 2
    assert answers.fewest(6, 8) == 3
    assert answers.fewest(3, 15) == 1
    assert answers.fewest(21, 22) == 0
