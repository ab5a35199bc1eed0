"""The demo: scripted upstreams, a real local model and replayed traffic, each in a process of its own."""
