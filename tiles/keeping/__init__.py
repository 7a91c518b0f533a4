"""Tiles that are kept: in memory, on disk, in archives; and for how long they are true."""
