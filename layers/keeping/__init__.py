"""What keeps a store sound: its verification, and its archives."""
