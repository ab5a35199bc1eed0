"""Reads responses as a client does: content, usage, how a stream ended.

It is independent of the gateway's own parser on purpose.
"""

import json
from typing import Any


class StreamReader:
    """Reads one event stream as its bytes arrive."""

    def __init__(self) -> None:
        self.characters = 0
        self.content_chunks = 0
        self.usage: tuple[int, int] | None = None
        self.cached_tokens = 0
        self.ended_in_error = False
        self.is_done = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; raises ValueError for what is no event stream of JSON."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            payload = event.removeprefix(b"data: ")
            if payload == b"[DONE]":
                self.is_done = True
            else:
                self._take(json.loads(payload))

    def _take(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self.ended_in_error = True
            return
        for choice in chunk["choices"]:
            text = choice["delta"].get("content") or ""
            self.characters += len(text)
            self.content_chunks += bool(text)
        self.usage = read_usage(chunk) or self.usage
        self.cached_tokens = read_cached_tokens(chunk) or self.cached_tokens


def read_usage(response: dict[str, Any]) -> tuple[int, int] | None:
    """Return input and output tokens as a response reports them; None where it reports none."""
    usage = response.get("usage")
    if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
        return None
    return usage["prompt_tokens"], usage.get("completion_tokens", 0)


def read_cached_tokens(response: dict[str, Any]) -> int:
    """Return how many of the input tokens the provider had in its cache, as it reports; 0 where it does not."""
    details = (response.get("usage") or {}).get("prompt_tokens_details") or {}
    return int(details.get("cached_tokens") or 0)


def read_characters(response: dict[str, Any]) -> int:
    """Return the characters of content in a whole chat completion; 0 for anything else."""
    return sum(len(choice["message"].get("content") or "") for choice in response.get("choices", ()))
