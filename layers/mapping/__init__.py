"""Which column of a source is which field of a layer: as stated, as kept, as suggested."""
