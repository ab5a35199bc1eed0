"""What the client reads of a response, however the network cuts it, and what the demo says when its real model is missing."""

from pathlib import Path

import pytest

from demo import environment
from demo.traffic.response_reader import StreamReader, read_characters, read_usage
from demo.upstream import local_model

STREAM = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"two "}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"words"}}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_stream_is_read_the_same_in_any_pieces(size: int) -> None:
    reader = StreamReader()
    for start in range(0, len(STREAM), size):
        reader.feed(STREAM[start : start + size])
    assert (reader.characters, reader.content_chunks, reader.usage) == (9, 2, (4, 2))
    assert (reader.is_done, reader.ended_in_error) == (True, False)


def test_a_stream_without_its_end_marker_is_not_done() -> None:
    reader = StreamReader()
    reader.feed(STREAM.removesuffix(b"data: [DONE]\n\n"))
    reader.feed(b'data: {"error":{"message":"broken"}}\n\n')
    assert (reader.is_done, reader.ended_in_error) == (False, True)


def test_whole_responses() -> None:
    response = {
        "choices": [{"message": {"content": "two words"}}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2},
    }
    assert (read_characters(response), read_usage(response)) == (9, (4, 2))
    assert read_usage({"usage": {"prompt_tokens": 4}}) == (4, 0)  # embeddings
    assert read_usage({"usage": {"prompt_tokens": "many"}}) is None
    assert (read_characters({}), read_usage({})) == (0, None)


def test_without_its_packages_the_demo_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model.importlib.util, "find_spec", lambda _: None)
    said: list[str] = []
    assert local_model.find_weights() is None
    assert not environment._has_real_model(environment.EnvironmentOptions(folder=tmp_path), said.append)
    assert said == [local_model.MISSING]


def test_the_weights_are_found_without_importing_their_package() -> None:
    weights = local_model.find_weights()
    if weights is None:
        pytest.skip(local_model.MISSING)
    with weights.open("rb") as file:
        assert file.read(4) == b"GGUF"
