"""Configuration: load -> variables -> schema -> checks; one line per mistake."""
