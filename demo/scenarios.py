"""The scenarios by name, as in `make demo SCENARIO=outage`: the condition of each provider, phase by phase.

`docs/scenarios.md` lists what each scenario must move. Times are for the demo's default speed; `cadence` scales them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from demo.traffic.arrivals import DEFAULT_SPEED

TARGET: Final = "healthy"
"""The provider that most calls go to, and that most scenarios are about."""

DEAREST_MODEL: Final = "aurora-large"

_LEAST_CADENCE: Final = 0.1
_CALM_SECONDS: Final = 15.0
_TROUBLE_SECONDS: Final = 40.0
_AFTER_SECONDS: Final = 35.0


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's condition: the share of calls that fail, added time before the first byte, whether its list of models is down."""

    failed_share: float = 0.0
    added_seconds: float = 0.0
    list_is_down: bool = False


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a scenario. `others` is the condition of providers that `providers` does not name.

    Responses are `token_factor` times as long. All calls are for `model`; None is for any.
    """

    name: str
    seconds: float
    providers: Mapping[str, Condition] = {}
    others: Condition = Condition()
    token_factor: int = 1
    model: str | None = None

    def condition(self, provider: str) -> Condition:
        """Return a provider's condition."""
        return self.providers.get(provider, self.others)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Phases in order, repeated."""

    name: str
    phases: tuple[Phase, ...]

    def phase_at(self, at_seconds: float, cadence: float) -> Phase:
        """Return the phase at a time after the start."""
        rest_seconds = at_seconds / cadence % sum(phase.seconds for phase in self.phases)
        for phase in self.phases:
            rest_seconds -= phase.seconds
            if rest_seconds < 0:
                return phase
        return self.phases[-1]


def cadence_of(speed: float) -> float:
    """Return what times are multiplied with at a speed of the replay: 1 up to the demo's own, less at a higher one, within reason."""
    return min(max(DEFAULT_SPEED / speed, _LEAST_CADENCE), 1.0)


_CALM: Final = Phase(name="calm", seconds=_CALM_SECONDS)
_AFTER: Final = Phase(name="well again", seconds=_AFTER_SECONDS)
_OUT: Final = {TARGET: Condition(failed_share=1.0, list_is_down=True)}


def _troubled(name: str, trouble: Phase) -> Scenario:
    return Scenario(name=name, phases=(_CALM, trouble, _AFTER))


SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        _troubled("outage", Phase(name=f"{TARGET} is out", seconds=_TROUBLE_SECONDS, providers=_OUT)),
        _troubled(
            "brownout",
            Phase(
                name=f"{TARGET} is slow, some calls fail",
                seconds=_TROUBLE_SECONDS,
                providers={TARGET: Condition(failed_share=0.25, added_seconds=2.5)},
            ),
        ),
        _troubled(
            "cost-spike",
            Phase(
                name="dearest model, long responses",
                seconds=_TROUBLE_SECONDS,
                model=DEAREST_MODEL,
                token_factor=10,
            ),
        ),
        _troubled(
            "latency-spike",
            Phase(
                name=f"{TARGET} is slow",
                seconds=_TROUBLE_SECONDS,
                providers={TARGET: Condition(added_seconds=4.0)},
            ),
        ),
        _troubled(
            "error-surge",
            Phase(
                name="every provider fails often",
                seconds=_TROUBLE_SECONDS,
                others=Condition(failed_share=0.3),
            ),
        ),
        Scenario(
            name="recovery",
            phases=(
                Phase(name=f"{TARGET} is out from the start", seconds=20.0, providers=_OUT),
                Phase(name=f"{TARGET} recovers", seconds=70.0),
            ),
        ),
    )
}
