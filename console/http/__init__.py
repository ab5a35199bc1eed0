"""The console's HTTP side: JSON routes, access, static files and the live tail.

Every response is a struct of `console/query/shapes.py`. Errors are `Problem`.

    GET  /                          the page; /static/{name} its files
    GET  /api/session               Session; open to everybody who can reach the console
    POST /api/session               {"token": "..."} -> 204 and a cookie; 401 for a wrong token
    DELETE /api/session             204, removes the cookie
    GET  /api/meta                  Meta
    GET  /api/now                   Now             find: a part of the names of providers and models
    GET  /api/failures              Failures        WINDOW, provider, model, error_kind, service; sort=count|last_seen|first_seen
    GET  /api/requests              RequestPage     WINDOW, REQUESTS, PAGE
    GET  /api/requests.csv          text/csv        WINDOW, REQUESTS, BOM
    GET  /api/facets                Facets          field (repeatable; default: all)
    GET  /api/traces                TracePage       WINDOW, service, name, status, latency_min, latency_max, PAGE
    GET  /api/traces/{trace_id}     Trace           404 where nothing of it is retained
    GET  /api/logs                  LogPage         WINDOW, LOGS, PAGE
    GET  /api/metrics               Families        service
    GET  /api/metrics/range         Chart           WINDOW, CHART
    GET  /api/cost                  CostReport      period=today|month|range (from, to or range with `range`)
    GET  /api/cost.csv              text/csv        like /api/cost, BOM
    GET  /api/annotations           Annotations     WINDOW, kind (repeatable), service
    GET  /api/pipeline              Pipeline
    GET  /api/tail                  text/event-stream   kind=requests|logs, REQUESTS or LOGS

    WINDOW    from, to: Unix seconds. Default: the last hour (failures and annotations: 24 hours).
              `range`: seconds that end at `to` or now, instead of `from`.
    BOM       bom: true or false (default). With it the file begins as spreadsheets need it to read UTF-8.
    PAGE      limit (1 to 500, default 50), cursor (`next_cursor` of the page before).
    REQUESTS  provider, model, status, outcome, call_status, error_kind, key_id, plan, method, path,
              operation, cost_source, limit_type, cancel_phase, service, trace_id: repeatable, one of
              the values must match; `status` also takes a class such as `5xx`. stream, cached: true or
              false. Of a field with a fixed set of values, another one is a 400 that lists the set.
              latency_min, latency_max (seconds), tokens_min, tokens_max (input and output together),
              cost_min, cost_max (US dollars): inclusive bounds; rows without the number never match.
              q: free text; all words must occur in the line, the last one at least with its beginning.
    LOGS      severity (a name: this and above); logger, service, trace_id: repeatable; q as above.
    CHART     name; fn: a Function of the family (default: its first); q: the quantile, 0 to 1
              (default 0.95; `q` is repeatable, one group of series each); by: a label name, repeatable,
              `by=*` keeps every series apart, without it all series become one (their sum); match:
              `label=value` or `label!=value`, repeatable, all must hold; step: seconds (default: about
              240 values); window: seconds that each value looks back (default: the larger of 60 and
              4 steps); exemplars: true or false (default true); limit: series at most (default 20, up
              to 100); type: a MetricType, where several families have the name. fn=buckets draws a
              line for each bound of a histogram, under the label `le`. Labels of resources
              are `resource.service.name`, `resource.service.instance.id`, `resource.service.version`.

A parameter that is unknown, repeated where it may not be, or not readable is a 400 that names it.
A query that takes longer than its limit is a 503 that says how to narrow it. The tail sends

    id: {cursor}
    event: request | log
    data: RequestRow or LogRow, one line of JSON

and a comment every 15 seconds. With `Last-Event-ID` it resumes after that row. `event: skipped`
with `{"rows": n}` says that rows arrived faster than the reader took them.

Access is described in `access.py`: loopback needs no token, every other address does.
"""
