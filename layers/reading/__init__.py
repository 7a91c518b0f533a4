"""Reading: what a layer says of a time, as a reader sees it; selects, and what is made of them."""
