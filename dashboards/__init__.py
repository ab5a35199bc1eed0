"""What people look at and are woken by: Grafana dashboards as code, alert rules, and the provisioning of both."""
