"""Recording: an event reaches every signal that it concerns.

    event -> recorder -> measurements | spans | log line

`guard` keeps failures of recording away from the application. `noop` takes the recorder's place where
telemetry is off.
"""
