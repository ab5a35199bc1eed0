"""The redaction rules of `collector-config/base.yaml`, read as the Collector reads them, and run by Python's regular expressions."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Final

import yaml

BASE: Final = Path(__file__).parents[2] / "collector-config" / "base.yaml"
LITERAL: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


def statements() -> list[str]:
    """Every statement of the processor that replaces something, of each signal."""
    processor = yaml.safe_load(BASE.read_text())["processors"]["transform/redact"]
    groups = [group for name in ("trace", "log", "metric") for group in processor[f"{name}_statements"]]
    found = [statement for group in groups for statement in group["statements"]]
    return [statement for statement in found if statement.startswith("replace_")]


def rule(statement: str) -> tuple[str, str]:
    """Pattern and replacement of a statement, as the processor reads them; the replacement in Python's notation."""
    pattern, replacement = (json.loads(literal) for literal in LITERAL.findall(statement.partition(") where ")[0])[-2:])
    return pattern, re.sub(r"\$\$\{(\d+)\}", r"\\g<\1>", replacement)


def words(statement: str) -> list[str]:
    """The words of which a text must have one, in lower case, for a statement to look at it."""
    return [json.loads(literal) for literal in re.findall(r'Index\(cache\["text"\], ("[^"]*")\) >= 0', statement)]


@cache
def rules() -> list[tuple[re.Pattern[str], str]]:
    """Compiled pattern and replacement of each rule, in the order in which they are applied."""
    return [(re.compile(pattern), to) for pattern, to in dict.fromkeys(rule(each) for each in statements())]


def collector(text: str) -> str:
    """What the Collector makes of a text, were its regular expressions Python's."""
    for pattern, to in rules():
        text = pattern.sub(to, text)
    return text


WORDS: Final = [
    "bearer ", "Basic ", "sk-", "gwz_", "AIza", "hf-", "eyJ", "api_key", "authorization", '"', "'", "=", ": ", "password", "secret",
    "access-token", "x-api-key", "://", "user", ":", "@", "/", " ", ".", "\n", ";", "{", "}", "abcdefghijkl", "A1_-~+", "[redacted]",
]  # fmt: skip
"""What secrets and their surroundings are made of."""
