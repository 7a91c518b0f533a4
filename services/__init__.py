"""The doors: HTTP, command line, settings, people and permissions."""
