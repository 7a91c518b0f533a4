"""What a publish can read, a module a family: files, archives, tables, networks, databases."""
