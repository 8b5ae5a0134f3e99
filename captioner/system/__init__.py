"""What the operating system is asked for: whole files, locks, signals, devices."""
