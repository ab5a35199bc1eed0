"""The real servers without Docker: built from Go modules once, run on loopback."""
