"""Default styles, made of a layer's schema: coloured by its coded field, labelled by its label.

At low zooms vector tiles have features that stand for several, with their number as ``count``; they
are drawn as circles that grow and darken with it, whatever the layer's geometry is, in a colour of
their own: none that a code has, as they are of all codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layers.model import Field, Kind, Role, Schema, Title
from tiles.styling.counts import COUNTED, SINGLE, counted_layers
from tiles.styling.schemes import Scheme, scheme_of
from tiles.styling.tables import FONTS, HALO, LEGEND, TITLES, palette

OTHER = Title("All others", "其余")
SHEET = "shikong"
NOTHING = "nothing"
_PLAIN = {"Polygon": "#e8d9b5", "LineString": "#3b6fb6", "Point": "#3b6fb6"}


def default_style(layer_id: str, schema: Schema, fields: Sequence[Field]) -> dict[str, Any]:
    """Return the style by which a layer is drawn where nobody says otherwise.

    Parameters
    ----------
    layer_id : str
        The collection, whose tiles are the style's source.
    fields : sequence of Field
        Those of the schema that the reader sees; no other is named.

    Returns
    -------
    dict
        A MapLibre style; ``{base}`` in it stands for the address of the server.
    """
    make = None if schema.raster else _LAYERS.get(_shape(schema))
    if make is None:
        return _picture(layer_id, schema)
    made = make(schema, fields)
    # Where a field is called so, nothing tells the two apart: each feature is one.
    own = schema.find("count") is not None
    return style_around(layer_id, schema, _each_alone(made) if own else made)


def _picture(layer_id: str, schema: Schema) -> dict[str, Any]:
    """The style of a raster layer: its tiles are pictures already."""
    address = f"{{base}}/collections/{layer_id}/map/tiles/WebMercatorQuad?f=tilejson"
    return {
        "version": 8,
        "name": f"{schema.title.zh} · {schema.title.en}",
        "metadata": {"shikong:layer": layer_id},
        "sources": {layer_id: {"type": "raster", "url": address, "tileSize": 256}},
        "layers": [{"id": f"{layer_id}/picture", "type": "raster", "source": layer_id}],
    }


def _each_alone(made: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The parts of a style without those that count, and without the difference."""
    found = {}
    for part, layer in made.items():
        said = layer["filter"]
        said = said[1:] if said[0] == "all" else [said]
        if COUNTED in said:
            continue
        kept = [condition for condition in said if condition != SINGLE]
        filters = {"filter": kept[0] if len(kept) == 1 else ["all", *kept]} if kept else {}
        found[part] = {n: v for n, v in layer.items() if n != "filter"} | filters
    return found


def style_around(
    layer_id: str, schema: Schema, made: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the style of a layer whose parts are drawn so, in this order."""
    address = f"{{base}}/collections/{layer_id}/tiles/WebMercatorQuad?f=tilejson"
    common = {"source": layer_id, "source-layer": layer_id}
    return {
        "version": 8,
        "name": f"{schema.title.zh} · {schema.title.en}",
        "metadata": {"shikong:layer": layer_id},
        "sources": {layer_id: {"type": "vector", "url": address}},
        "sprite": f"{{base}}/sprites/{SHEET}",
        "layers": [
            {"id": f"{layer_id}/{part}", "type": layer["type"], **common, **layer}
            for part, layer in made.items()
        ],
    }


def _shape(schema: Schema) -> str:
    return schema.geometry.removesuffix("Z").removeprefix("Multi")


def _areas(schema: Schema, fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    scheme, grids = scheme_of(fields), _has(fields, "grid_type")
    colour: Any = _PLAIN["Polygon"] if scheme is None else scheme.match()
    line = colour if grids else "#8d8471"
    fill = {"fill-color": colour, "fill-opacity": 0.06 if grids else 0.75}
    width = growing(9, 0.8, 14, 1.8, 18, 3.2) if grids else growing(11, 0.2, 15, 0.6, 19, 1.6)
    return {
        "fill": {
            "type": "fill",
            "filter": ["all", ["==", ["geometry-type"], "Polygon"], SINGLE],
            "paint": fill,
            **({"metadata": {LEGEND: False}} if grids else _called(scheme)),
        },
        "outline": {
            "type": "line",
            "filter": ["all", ["==", ["geometry-type"], "Polygon"], SINGLE],
            "layout": {"line-join": "round"},
            "paint": {"line-color": line, "line-width": width},
            **(_called(scheme) if grids else {"metadata": {LEGEND: False}}),
        },
        **counted_layers(),
        **_labels(fields, 12 if grids else 16),
    }


def _lines(schema: Schema, fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    scheme = scheme_of(fields)
    colour: Any = _PLAIN["LineString"] if scheme is None else scheme.match()
    only = ["all", ["==", ["geometry-type"], "LineString"], SINGLE]
    round_ends = {"line-join": "round", "line-cap": "round"}
    return {
        "casing": {
            "type": "line",
            "filter": only,
            "minzoom": 12,
            "layout": round_ends,
            "paint": {
                "line-color": "rgba(20,30,40,0.45)",
                "line-width": growing(12, 1.3, 14, 1.8, 16, 3.6, 20, 9),
            },
            "metadata": {LEGEND: False},
        },
        "line": {
            "type": "line",
            "filter": only,
            "layout": round_ends,
            "paint": {"line-color": colour, "line-width": growing(10, 0.7, 14, 1, 16, 2.2, 20, 6)},
            **_called(scheme),
        },
        **counted_layers(),
        **_labels(fields, 17, placed={"symbol-placement": "line"}),
    }


def _points(schema: Schema, fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    scheme = scheme_of(fields)
    colour: Any = _PLAIN["Point"] if scheme is None else scheme.match()
    events = schema.kind is Kind.EVENT
    radius = growing(10, 2.5, 14, 4, 18, 8) if events else growing(14, 1.8, 16, 3.6, 20, 8)
    return {
        "point": {
            "type": "circle",
            "filter": ["all", ["==", ["geometry-type"], "Point"], SINGLE],
            "paint": {
                "circle-color": colour,
                "circle-radius": radius,
                "circle-stroke-color": "#ffffff" if events else "rgba(20,30,40,0.45)",
                "circle-stroke-width": growing(12, 0.4, 16, 1),
            },
            **_called(scheme),
        },
        **_icons(fields),
        **counted_layers(),
        **_labels(fields, 17, placed={"text-anchor": "top", "text-offset": [0, 0.9]}),
    }


def _icons(fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    """Symbols of what stands in the ground, where one looks closely."""
    if not _has(fields, "appurtenance"):
        return {}
    kinds = [s.code for s in palette("appurtenances").values()]
    names = [part for kind in kinds for part in ([kind], kind)]
    return {
        "symbol": {
            "type": "symbol",
            "minzoom": 16,
            "filter": ["all", SINGLE, ["has", "appurtenance"]],
            "layout": {
                "icon-image": ["match", ["get", "appurtenance"], *names, NOTHING],
                "icon-size": growing(16, 0.6, 20, 1.2),
                "icon-allow-overlap": True,
            },
            "metadata": {
                TITLES: {
                    s.code: {"zh": s.title.zh, "en": s.title.en}
                    for s in palette("appurtenances").values()
                }
            },
        }
    }


def _labels(
    fields: Sequence[Field], zoom: int, *, placed: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    label = next((f for f in fields if f.role is Role.LABEL), None)
    if label is None:
        return {}
    layout: dict[str, Any] = {
        "text-field": ["to-string", ["get", label.id]],
        "text-font": list(FONTS),
        "text-size": growing(zoom, 10.5, zoom + 4, 14),
        "text-max-width": 8,
        **(placed or {}),
    }
    return {
        "label": {
            "type": "symbol",
            "minzoom": zoom,
            "filter": SINGLE,
            "layout": layout,
            "paint": {"text-color": "#39424c", "text-halo-color": HALO, "text-halo-width": 1.4},
            "metadata": {LEGEND: False},
        }
    }


def growing(*stops: float) -> list[Any]:
    """Return the expression of a size that grows with the zoom.

    >>> growing(10, 1, 16, 4)
    ['interpolate', ['exponential', 1.4], ['zoom'], 10, 1, 16, 4]
    """
    return ["interpolate", ["exponential", 1.4], ["zoom"], *stops]


def _called(scheme: Scheme | None) -> dict[str, Any]:
    return {} if scheme is None else {"metadata": scheme.metadata}


def _has(fields: Sequence[Field], name: str) -> bool:
    return any(f.id == name for f in fields)


_LAYERS = {"Polygon": _areas, "LineString": _lines, "Point": _points}
