"""One file a noun: what each HTTP route answers."""
