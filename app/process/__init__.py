"""The gateway's process: configuration, telemetry, application, listening socket, server, exit code.

cli -> serve (telemetry) -> application, server -> exit_codes
"""
