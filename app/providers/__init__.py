"""What the gateway knows of its providers: attempts in a window, breakers, probes, availability, health."""
