"""Diagnoses the pipeline: follows one marked request hop by hop and names the broken hop with its fix.

    settings -> observe -> query_* (one module per server), follow (the marked request) -> facts
    facts -> checks -> check_* (pure functions) -> findings -> report

`command.py` runs it.
"""
