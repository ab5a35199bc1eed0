"""The servers behind the gateway: their configuration files, and Docker Compose or native processes that run them."""
