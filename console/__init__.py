"""The console: an embedded backend of the pipeline, and the web page that shows what it holds.

    OTLP/HTTP -> receive -> store (one SQLite file) -> query -> http -> page (static files)

    receive  requests become batches of records; overload is refused with Retry-After
    store    one thread writes batches, readers read beside it; caps by age, rows and bytes
    query    series and the data of each screen
    http     JSON API, access, live stream, static files
    page     the built page

It is a process of its own, `gatewayz console`. It imports nothing of the gateway, and it is no
store of truth for billing: what is older than its caps is deleted.
"""
