"""The gateway's process: configuration, telemetry, application, listening socket, server, exit code.

    app/cli -> serve -> telemetry -> app/application -> app/server -> exit_codes

`serve` in `serve.py` returns the exit code.
"""
