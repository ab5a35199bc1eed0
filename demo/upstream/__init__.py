"""The demo's upstreams: scripted providers that speak the OpenAI wire format, and a real local model.

request -> scripted_upstream -> script (from the request, or made up) -> wire (response bodies)
                             -> counters (GET /_upstream/counters)
"""
