"""Who is asking: people, how they sign in, and the one place that asks other servers."""
