"""What of the alert rules is made by a program: the rules of objectives, and the address of each alert's runbook."""
