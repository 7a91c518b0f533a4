"""Rules asked of the rows that a publish has staged, before anything is compared or written."""
