"""PostgreSQL servers: the private cluster, and the programs on this machine."""
