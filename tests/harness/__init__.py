"""Doubles for users' own tests: a recorder that keeps events, and OTLP receivers on real sockets."""
