"""What the machine offers: folders, child processes, compiled code."""
