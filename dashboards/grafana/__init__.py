"""Grafana: dashboards as code (`definitions/`), what they become (`json/`), and what Grafana reads at its start (`provisioning/`)."""
