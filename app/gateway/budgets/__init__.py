"""Budgets in US dollars per day and month, of a key and of a plan: reserved before a call, settled after it.

request -> largest_cost -> budgets (this process) -> shared spending (app/store/valkey_spending.py)
accounts names what is spent from; spending of earlier calls comes from the ledger
"""
