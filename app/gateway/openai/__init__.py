"""The OpenAI wire format: requests, completions, chunks, usage and errors, of callers and of providers."""
