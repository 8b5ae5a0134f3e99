"""Services of the operating system: whole files, locks, signals, devices."""
