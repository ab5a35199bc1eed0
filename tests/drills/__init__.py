"""Drills: every alert is made to fire on the native servers, reaches the webhook, and is taken back.

    drills.toml -> entries -> a check: each alert of dashboards/rules/ has a drill
    dashboards/rules/ -> in_seconds (minutes made seconds) -> Prometheus -> Alertmanager -> webhook
    faults of a run -> watch (pending, firing, at the webhook, resolved) -> report

Two runs share the drills: in one a gateway is ill, in the other the pipeline. tests/stack/ has them as tests.
"""
