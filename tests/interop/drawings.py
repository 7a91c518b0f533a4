"""Pictures that others draw of our tiles, beside what must be there by the features themselves."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson
import shapely
from PIL import Image, ImageDraw, ImageFilter

from tests.interop.conftest import Server

# Half of the earth's circumference at the equator, as Mercator on the web has it.
HALF_M = math.pi * 6378137.0
Colour = tuple[int, int, int]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Pixels = np.ndarray[Any, Any]


def mercator(places: Pixels) -> Pixels:
    """Longitudes and latitudes in EPSG:3857."""
    x = places[:, 0] / 180 * HALF_M
    y = np.log(np.tan(math.pi / 4 + np.radians(places[:, 1]) / 2)) * HALF_M / math.pi
    return np.column_stack([x, y])


@dataclass(frozen=True)
class View:
    """A picture's middle, its zoom where the world is 256 pixels wide at 0, and its size."""

    longitude: float
    latitude: float
    zoom: float
    width: int = 800
    height: int = 600

    @property
    def metres(self) -> float:
        """Of a pixel, at the equator."""
        return 2 * HALF_M / 256 / 2**self.zoom

    @property
    def box(self) -> tuple[float, float, float, float]:
        """In EPSG:3857."""
        [[x, y]] = mercator(np.array([[self.longitude, self.latitude]])).tolist()
        across, up = self.width * self.metres / 2, self.height * self.metres / 2
        return (x - across, y - up, x + across, y + up)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """In degrees."""
        west, south, east, north = self.box

        def latitude(y: float) -> float:
            return math.degrees(math.atan(math.sinh(y / HALF_M * math.pi)))

        return (west / HALF_M * 180, latitude(south), east / HALF_M * 180, latitude(north))

    def place(self, shapes: Any) -> Any:
        """Return shapes in degrees as they lie in the picture, in pixels."""
        west, _, _, north = self.box

        def moved(places: Pixels) -> Pixels:
            x, y = mercator(places).T
            return np.column_stack([(x - west) / self.metres, (north - y) / self.metres])

        return shapely.transform(shapes, moved)

    def pixel(self, longitude: float, latitude: float) -> Pixels:
        """Return where a place lies in the picture: column and row."""
        return np.asarray(
            shapely.get_coordinates(self.place(shapely.Point(longitude, latitude)))[0]
        )

    def inside(self, points: Pixels, margin: int = 8) -> Mask:
        x, y = points.T
        across = (x > margin) & (x < self.width - margin)
        return np.asarray(across & (y > margin) & (y < self.height - margin))

    def mask(self, shapes: Iterable[Any], width: float = 0) -> Mask:
        """Draw shapes (in pixels) anew: areas full, lines and points so many pixels wide."""
        image = Image.new("1", (self.width, self.height))
        pen = ImageDraw.Draw(image)
        flat = shapely.buffer(list(shapes), width / 2) if width else list(shapes)
        for area in shapely.get_parts(np.asarray(flat, dtype=object)):
            holes = list(area.interiors)
            if not holes:
                pen.polygon(list(area.exterior.coords), fill=1)
                continue
            own = Image.new("1", image.size)
            ImageDraw.Draw(own).polygon(list(area.exterior.coords), fill=1)
            for hole in holes:
                ImageDraw.Draw(own).polygon(list(hole.coords), fill=0)
            image.paste(1, mask=own)
        return np.asarray(image)


def read_features(server: Server, layer: str, view: View) -> list[tuple[Any, dict[str, Any]]]:
    """Return the features of a view as the features' own API tells them, placed in pixels."""
    box = ",".join(map(repr, view.bounds))
    address = f"/collections/{layer}/items?{urlencode({'bbox': box, 'limit': 5000})}"
    found = []
    while address:
        page = server.json(address)
        found += [f for f in page["features"] if f["geometry"]]
        following = [x["href"] for x in page["links"] if x["rel"] == "next"]
        address = following[0].removeprefix(server.base) if following else ""
    placed = view.place(shapely.from_geojson([orjson.dumps(f["geometry"]) for f in found]))
    return [(shape, f["properties"]) for shape, f in zip(placed, found, strict=True)]


def read_picture(content: bytes) -> Pixels:
    """Return a picture's pixels: rows, columns, red, green and blue."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def ink(picture: Pixels, background: Colour = (255, 255, 255), more_than: int = 5) -> Mask:
    """Return where anything was drawn."""
    return np.asarray(np.abs(picture - np.array(background)).max(axis=2) > more_than)


def grown(mask: Mask, pixels: int) -> Mask:
    """Return a mask with so many pixels more on every side."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * pixels + 1))) > 0


def covered(one: Mask, other: Mask, pixels: int = 2) -> float:
    """Return which share of one picture's ink lies where the other has some, or next to it."""
    return float((one & grown(other, pixels)).sum() / one.sum())


def blended(colour: Colour, opacity: float, background: Colour = (255, 255, 255)) -> Colour:
    red, green, blue = (
        round(c * opacity + b * (1 - opacity)) for c, b in zip(colour, background, strict=True)
    )
    return red, green, blue


def parsed(colour: str) -> Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def share_in(
    picture: Pixels, points: Sequence[Any], colours: Sequence[Colour], apart: int = 40
) -> float:
    """Return at which share of some places its colour is there, to a pixel and a tolerance."""
    hits = 0
    for (x, y), colour in zip(points, colours, strict=True):
        column, row = int(x), int(y)
        near = picture[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        hits += bool((np.abs(near - np.array(colour)).max(axis=2) <= apart).any())
    return hits / len(points)


def tints(picture: Pixels, points: Sequence[Any], colours: dict[str, Colour]) -> list[str]:
    """Return of which colour, mixed with white, the strongest pixel at each place is nearest."""
    names, wanted = list(colours), 255 - np.array(list(colours.values()), dtype=float)
    wanted /= np.linalg.norm(wanted, axis=1)[:, None]
    found = []
    for x, y in points:
        near = 255 - picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].reshape(-1, 3)
        strongest = near[np.linalg.norm(near, axis=1).argmax()]
        found.append(names[int((wanted @ strongest).argmax())])
    return found


def colours_of(server: Server, layer: str, part: str, paint: str) -> dict[str, Colour]:
    """Return the colours of a style by their codes, and that of all others as ''."""
    layers = {x["id"]: x for x in server.json(f"/styles/{layer}?f=json")["layers"]}
    said = layers[f"{layer}/{part}"]["paint"][paint]
    codes = [code for [code] in said[2:-1:2]]
    return dict(zip([*codes, ""], map(parsed, [*said[3:-1:2], said[-1]]), strict=True))


def places_alone(
    found: Sequence[tuple[Any, dict[str, Any]]], view: View, field: str
) -> Iterator[tuple[Any, str]]:
    """Places on outlines to which none of another kind comes near, each with its kind."""
    lines = np.array([shape.boundary for shape, _ in found])
    kinds = np.array([properties[field] for _, properties in found])
    for line, kind in zip(lines, kinds, strict=True):
        others = shapely.union_all(lines[kinds != kind])
        places = shapely.line_interpolate_point(line, np.arange(0, line.length, 15))
        for place in places[shapely.distance(places, others) > 6]:
            [at] = shapely.get_coordinates(place)
            if view.inside(at[None])[0]:
                yield at, str(kind)
