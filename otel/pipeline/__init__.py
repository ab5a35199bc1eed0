"""The pipeline: all parts of a process's telemetry, built once, started once and ended once.

    OTEL_* configuration, PipelineSettings -> build_pipeline -> Pipeline (recorder, providers, exposition, delivery)

`resource` names the process on all signals, `self_telemetry` makes the pipeline's own families, and
`console_exporters` write where `OTEL_*_EXPORTER` is `console`.
"""

from otel.pipeline.build import PipelineSettings, build_pipeline
from otel.pipeline.pipeline import Pipeline, Providers

__all__ = ["Pipeline", "PipelineSettings", "Providers", "build_pipeline"]
