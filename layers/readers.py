"""Who reads and who writes: an argument of every read and of every commit."""

from __future__ import annotations

from dataclasses import dataclass

from layers.model import Field, Layer, Schema, Visibility


@dataclass(frozen=True, slots=True)
class Reader:
    """What someone may see.

    Restricted fields are in no Reader's reach: no read selects from the restricted tables.

    Parameters
    ----------
    name : str
        Who reads, for logs.
    staff : bool
        Whether internal layers and fields are seen.
    private : bool
        Whether private layers are seen as well.
    """

    name: str
    staff: bool = False
    private: bool = False

    @classmethod
    def anonymous(cls) -> Reader:
        """Return the reader who has shown nothing: public layers, public fields."""
        return cls("anonymous")

    @classmethod
    def everything(cls) -> Reader:
        """Return the reader of the command line and of tests: every layer, no restricted field."""
        return cls("everything", staff=True, private=True)

    @property
    def fingerprint(self) -> str:
        """A short text that differs wherever what may be seen differs; part of every cache key."""
        return f"s{int(self.staff)}p{int(self.private)}"

    def sees(self, layer: Layer) -> bool:
        """Return whether the layer exists for this reader."""
        if layer.visibility is Visibility.PUBLIC:
            return True
        if layer.visibility is Visibility.INTERNAL:
            return self.staff
        return self.private

    def fields(self, schema: Schema) -> tuple[Field, ...]:
        """Return the fields that exist for this reader, in schema order."""
        return tuple(f for f in schema.stored if self.staff or f.visibility is Visibility.PUBLIC)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who commits; the name is kept with the commit as its author."""

    name: str
