"""What must hold in every store, one module a kind; `layers.verify` runs them all."""
