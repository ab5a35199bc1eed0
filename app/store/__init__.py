"""The database and the cache server behind the ports of `app/gateway/ports.py`.

    secret    -> key_directory -> fresh_entries, else keys -> caller
    call ends -> ledger -> commits in groups -> table `ledger`
    response  -> valkey_cache -> valkey_server
    budgets   -> valkey_spending -> valkey_server; spending reads the ledger
    reports   -> cost_rollup, daily_usage -> usage_report
    jobs      -> cost_rollup -> retention -> table `hourly_costs`
              -> daily_usage -> table `daily_usage`
              -> uptime, business -> gauges, where this instance holds the lease (leases)

`database.py` opens the database with `sqlite.py`, `migrations/` and `query_timing.py`.
"""
