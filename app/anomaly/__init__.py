"""Detects when a provider, a model or the whole gateway leaves its own recent normal; pure domain, no I/O.

attempt -> watch -> minute -> detector -> scope_state -> levels | errors | traffic -> episode -> incidents
"""
