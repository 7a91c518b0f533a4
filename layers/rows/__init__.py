"""A source's rows on their way to the database: typed, hashed, encoded."""
