"""Traffic of the demo: what is sent, when, and what comes back."""
