"""The process, under the names of the Prometheus client libraries."""

from typing import Final

from otel.catalogue.spec import Category, Kind, MetricSpec

CPU_TIME: Final = "process_cpu_seconds_total"
RESIDENT_MEMORY: Final = "process_resident_memory_bytes"
OPEN_FDS: Final = "process_open_fds"
START_TIME: Final = "process_start_time_seconds"

FAMILIES: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=CPU_TIME,
        instrument="process.cpu.time",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="s",
        help="User and system CPU time of the process.",
        categories=(Category.SYSTEM,),
        updated_by="the operating system",
        queries=("rate(process_cpu_seconds_total[5m])",),
        documented=False,
    ),
    MetricSpec(
        name=RESIDENT_MEMORY,
        instrument="process.memory.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        help="Resident memory of the process.",
        categories=(Category.SYSTEM,),
        updated_by="the operating system",
        queries=("process_resident_memory_bytes",),
        documented=False,
    ),
    MetricSpec(
        name=OPEN_FDS,
        instrument="process.unix.file_descriptor.count",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{file_descriptor}",
        help="Open file descriptors of the process.",
        categories=(Category.SYSTEM,),
        updated_by="the operating system",
        queries=("process_open_fds",),
        documented=False,
    ),
    MetricSpec(
        name=START_TIME,
        instrument="process.start_time",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="s",
        help="When the process started, in seconds since the Unix epoch.",
        categories=(Category.SYSTEM,),
        updated_by="the operating system",
        queries=("time() - process_start_time_seconds",),
        documented=False,
    ),
)
