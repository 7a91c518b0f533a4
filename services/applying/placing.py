"""Errors of what a description asks for, told with its file, line and place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from layers.errors import LayersError
from services.applying.descriptions import Description
from services.errors import BadParameter, ServicesError
from spatial.errors import SpatialError
from tiles.errors import TilesError


class Placed(BadParameter):
    """What went wrong at a place of a description."""


@contextmanager
def placed(description: Description, place: str) -> Iterator[None]:
    """Have errors begin with the place in the file, but those that do already."""
    try:
        yield
    except Placed:
        raise
    except (LayersError, ServicesError, SpatialError, TilesError) as error:
        raise Placed(description.document.located(f"{place}: {error}")) from error
    except SQLAlchemyError as error:
        first = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        told = f"{place}: the database refused: {first}"
        raise Placed(description.document.located(told)) from error
