"""Holds a running Grafana against what is provisioned here: data sources, boards, variables, and every query."""
