"""The file of the console: one SQLite database that one thread writes and that readers read beside it.

    uploads -> writer (one thread) -> identities (ids of resources, series) -> inserts -> commit -> acknowledgement
                    between commits -> pruning (caps by age, rows and bytes)
    readers -> spans | logs | requests | metrics: plain lookups, each in a read-only connection with a deadline

`schema.py` documents the tables. A query of a screen may use SQL of its own on a reader's connection.
"""
