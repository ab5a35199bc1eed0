"""Answers as the servers give them, for any board: without data, or with two series for each query."""

from collections.abc import Mapping
from typing import Any, Final

END: Final = 1_790_000_100
START: Final = END - 600
STEP: Final = 15
LEVELS: Final = (1.0, 2.0)
"""The value of the first and of the second series at the end of the range; before it they are half of that."""

_BUCKETS: Final = ("0.1", "1", "+Inf")


def answers(document: Mapping[str, Any], results: Mapping[int, Any]) -> dict[str, Any]:
    """Return what the page draws for a board, with these results by the panel's id."""
    return {
        "document": document,
        "range": {"start": START, "end": END, "step": STEP},
        "results": results,
        "annotations": [
            {"name": "Alerts", "color": "red", "isValueTheTime": False, "result": [_course({"alertname": "Down"}, 1.0)]}
        ],
        "values": {"provider": ["one", "other"], "model": ["large"]},
    }


def without_data(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers of servers that have nothing."""
    return answers(
        document, {panel["id"]: {each["refId"]: {} for each in panel["targets"]} for panel in document["panels"]}
    )


def with_data(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return two series, lines, traces or edges for each query."""
    return answers(
        document,
        {
            panel["id"]: {each["refId"]: _result(panel, each) for each in panel["targets"]}
            for panel in document["panels"]
        },
    )


def _result(panel: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    if panel["type"] == "logs":
        lines = [[str((END - age) * 10**9), f"a line of {age} s ago"] for age in (1, 2)]
        return {"data": {"resultType": "streams", "result": [{"stream": {"level": "error"}, "values": lines}]}}
    if target.get("queryType") == "traceql":
        trace = {"rootServiceName": "gatewayz", "rootTraceName": "POST", "startTimeUnixNano": str(END * 10**9)}
        return {"traces": [trace | {"traceID": name, "durationMs": 250} for name in ("a1", "b2")]}
    if target.get("queryType") == "serviceMap":
        edge = {"client": "gatewayz", "server": "one"}
        return {
            "edges": {
                measure: [{"metric": edge, "value": [END, text]}]
                for measure, text in (("total", "60"), ("failed", "6"), ("seconds", "12"))
            }
        }
    names = _BUCKETS if panel["type"] == "heatmap" else ("one", "other")
    labels = [dict.fromkeys(("le", "provider", "model", "alertname", "client", "server"), name) for name in names]
    if target.get("instant"):
        result = [{"metric": each, "value": [END, str(level)]} for each, level in zip(labels, LEVELS, strict=False)]
        return {"data": {"resultType": "vector", "result": result}}
    levels = (*LEVELS, 3.0)
    return {
        "data": {
            "resultType": "matrix",
            "result": [_course(each, level) for each, level in zip(labels, levels, strict=False)],
        },
        "exemplars": [{"exemplars": [{"timestamp": END - 60, "value": "1.5", "labels": {"trace_id": "a1"}}]}],
    }


def _course(labels: Mapping[str, str], level: float) -> dict[str, Any]:
    return {
        "metric": dict(labels),
        "values": [[at, str(level if at == END else level / 2)] for at in range(START, END + 1, STEP)],
    }
