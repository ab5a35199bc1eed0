"""Configuration: a TOML file and `GATEWAYZ_*` variables become frozen structs, or one line per mistake.

    file -> load -> variables (overrides) -> schema, routing_schema -> checks, routing_checks, rules
    type error -> explain;  finding of a check -> explain -> one line
    names of variables in the file -> load -> `Secrets`

`load_config` in `load.py` is the way in.
"""
