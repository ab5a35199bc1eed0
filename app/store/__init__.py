"""The database and the cache server behind the ports of `app/gateway/ports.py`.

    secret    -> key_directory -> fresh_entries, else keys -> caller
    call ends -> ledger -> commits in groups -> table `ledger`
    response  -> valkey_cache
    jobs (while leases grants it) -> cost_rollup -> retention -> table `hourly_costs`
                                  -> uptime, business -> gauges

`database.py` opens the database with `sqlite.py`, `migrations/` and `query_timing.py`.
"""
