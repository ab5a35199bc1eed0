"""DOCTOR: the troubleshooting tool: one marked request, followed hop by hop through the pipeline, and the broken hop named with its fix.

settings -> observe (asks the servers) -> facts -> checks (pure judgements) -> findings -> report
"""
