"""Transport: an encoded request becomes an outcome, over HTTP or gRPC."""
