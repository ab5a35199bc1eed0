"""The wire format of the OpenAI API: requests, responses, streams, errors and usage.

    body of a request -> request_reading -> request (`CallRequest`)
    whole response    -> completion -> response_shape, usage
    streamed response -> sse -> chunks, stream_events -> response_shape, usage, chunk_fields
    refusal           -> provider_reason -> refusal_kind -> failures
    usage             -> usage_places -> usage_fields -> usage, reported_cost -> plausible_usage, else input_estimate -> counted_usage
    failures          -> caller_error -> error_body -> client

All of it works on bytes, without I/O and without a clock; a large request is read in a child process.
"""
