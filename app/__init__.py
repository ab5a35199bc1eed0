"""The gateway: an OpenAI-compatible HTTP service in front of real providers; every documented metric is moved by a real event in it."""
