"""Diagnoses the pipeline: follows one marked request hop by hop and names the broken hop with its fix.

settings -> observe (queries the servers) -> facts -> checks (pure functions) -> findings -> report
"""
