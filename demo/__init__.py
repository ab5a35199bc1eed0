"""The demo: a gateway, scripted upstreams, a real local model and replayed traffic, on loopback.

command -> run -> environment: upstream/ and gateway, a process each (process, watchdog)
               -> traffic/:    arrivals -> schedule -> sender -> counters
               -> output/:     screen
               -> tests/reconcile: counters == /metrics == ledger == upstream
"""
