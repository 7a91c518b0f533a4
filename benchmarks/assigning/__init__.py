"""Points to polygons by this project's kernel, and by others."""
