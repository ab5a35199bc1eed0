"""Events: what an application reports to telemetry, and the ports that accept it.

    application -> events (usage: tokens and money) -> Recorder, RequestScope, AttemptScope

Neither OpenTelemetry nor a framework is imported, so that an application's domain can depend on it.
"""

from otel.events.events import (
    AnomalyBegan,
    AttemptFinished,
    AttemptScope,
    AttemptStarted,
    AttemptStatus,
    BreakerChanged,
    CacheLookedUp,
    CallerIdentified,
    CallFinished,
    CallStatus,
    CancelPhase,
    ErrorKind,
    Event,
    EventLoopLagged,
    ExceptionMapped,
    FaultDomain,
    LedgerRowsDropped,
    OverheadMeasured,
    ProbeFinished,
    QueryFinished,
    RateLimited,
    Recorder,
    RequestFinished,
    RequestReceived,
    RequestScope,
)

__all__ = [
    "AnomalyBegan",
    "AttemptFinished",
    "AttemptScope",
    "AttemptStarted",
    "AttemptStatus",
    "BreakerChanged",
    "CacheLookedUp",
    "CallFinished",
    "CallStatus",
    "CallerIdentified",
    "CancelPhase",
    "ErrorKind",
    "Event",
    "EventLoopLagged",
    "ExceptionMapped",
    "FaultDomain",
    "LedgerRowsDropped",
    "OverheadMeasured",
    "ProbeFinished",
    "QueryFinished",
    "RateLimited",
    "Recorder",
    "RequestFinished",
    "RequestReceived",
    "RequestScope",
]
