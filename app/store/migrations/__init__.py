"""The steps that bring a database to `app/store/schema.py`, in order; `versions/` holds one file per step."""
