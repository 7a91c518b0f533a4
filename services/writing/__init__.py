"""What clients write: bodies, the features that they state, and on which conditions."""
