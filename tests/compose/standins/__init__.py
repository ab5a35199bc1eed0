"""Stand-ins for the official images, where these cannot be pulled: the native binaries under the same names, and the stack run with them."""
