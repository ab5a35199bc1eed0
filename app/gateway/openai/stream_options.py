"""The field `stream_options`, which the gateway adds to streams on its own: which refusals are about it.

Input: a provider's refusal and the caller's request. Output: whether the request is worth another
attempt without the field.
"""

from app.gateway.openai.failures import CallerFaultError, UpstreamFailure
from app.gateway.openai.request import CallRequest

_NAMES = (b"stream_options", b"include_usage")


def blames_stream_options(failure: UpstreamFailure | CallerFaultError, request: CallRequest) -> bool:
    """Whether a provider refused the field that the gateway added, and not one that the caller sent."""
    if not request.stream or request.include_usage or not isinstance(failure, CallerFaultError):
        return False
    return failure.upstream_status in {400, 422} and any(name in failure.body for name in _NAMES)
