"""What of the alert rules is made by a program: the address of each alert's runbook."""
