"""pygeoapi as a guest: its configuration, plugins and mounting."""
