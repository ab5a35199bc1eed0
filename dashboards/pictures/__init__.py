"""Draws the boards from their JSON and the servers' own answers, for the documentation and for tests: Grafana is not needed."""
