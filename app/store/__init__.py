"""The database and the cache server behind the ports of `app/gateway/ports.py`.

database -> schema -> keys, ledger -> cost_rollup -> retention; jobs runs the last two and feeds gauges
"""
