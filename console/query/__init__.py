"""Makes the data of the screens from the store, read-only.

store's readers -> series mathematics -> one function per screen -> shapes
"""
