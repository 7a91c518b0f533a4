"""What must hold in every store, one module a kind; `layers.keeping.verify` runs them all."""
