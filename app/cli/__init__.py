"""The command line: one module per command.

    arguments -> standard_streams -> main -> app/config/load -> one of
        app/process/serve | keys | usage | check_config | app/doctor/command
    arguments -> console -> console/process; serve --console -> console_process, a child of its own
    completion is made from the parser alone

`main` in `main.py` returns the exit code.
"""
