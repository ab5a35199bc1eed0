"""STORE: the database and the cache server behind the ports of `app/gateway/ports.py`."""
