"""The traffic of the demo.

arrivals -> schedule -> *_kinds: plan of a request with its certain outcome -> sender -> response_reader
                                                                                  -> mismatch, counters
replay: the same traffic for a gateway in another container
"""
