"""Sharing of memory and of the event loop between calls.

    large JSON        -> offload -> fair_lock -> offload_worker (a child process)
    large responses   -> byte_budget, response_budget: bytes held by all calls and by one key
    many quick steps  -> key_turns: so many in one pass of the event loop; keys take turns (key_queue)
                         loop_sharing: fewer while a key with few calls comes beside one with many
    slow pieces       -> loop_yield: one in each pass; keys take turns

None of it knows what the bytes mean.
"""
