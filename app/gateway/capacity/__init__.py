"""Sharing of memory and of the event loop between calls.

    large JSON        -> offload -> fair_lock -> offload_worker (a child process)
    large responses   -> byte_budget, response_budget: bytes held by all calls and by one key
    many small pieces -> pass_budget: so many in one pass of the event loop
    slow pieces       -> loop_yield: one in each pass

None of it knows what the bytes mean.
"""
