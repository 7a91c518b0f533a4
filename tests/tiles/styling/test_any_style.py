"""Whatever is sent as a style or an SLD is taken or refused with its reason; nothing breaks."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from layers.schemas.profiles import profile_schemas
from services.style_documents import addressed, templated, title_of
from tiles.errors import BadStyle, BadStyledLayer, Unsayable
from tiles.styling.checking import check_style
from tiles.styling.defaults import default_style
from tiles.styling.legend_pictures import draw_legend
from tiles.styling.legends import legend_of
from tiles.styling.naming import ALWAYS, named_fields, without_fields
from tiles.styling.sld.reading import read_sld
from tiles.styling.sld.writing import write_sld
from tiles.styling.tables import operators

CN = profile_schemas("cn")
SCALARS = st.none() | st.booleans() | st.integers(-5, 30) | st.floats(allow_nan=False, width=16)
WORDS = st.sampled_from(
    [*operators(), "state", "count", "red", "visible", "linear", "", "路", "{a}"]
)
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document that a value can be put in."""
    found: list[tuple[Any, Any]] = []
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


@st.composite
def styles(draw: st.DrawFn) -> tuple[str, Any]:
    """A default style in which some things are others."""
    layer = draw(st.sampled_from(sorted(CN)))
    document = copy.deepcopy(default_style(layer, CN[layer], CN[layer].stored))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(places(document)))
        holder[key] = draw(JSON)
    return layer, document


def faults_of(document: Any, layer: str) -> tuple[tuple[str, str], ...]:
    try:
        check_style(document, layer, [f.id for f in CN[layer].stored])
    except BadStyle as error:
        return error.faults
    return ()


@settings(max_examples=400, deadline=None)
@given(made=styles())
def test_a_style_is_refused_or_can_be_answered_in_every_form(made: tuple[str, Any]) -> None:
    layer, document = made
    schema = CN[layer]
    document = templated(document, "http://here")
    title = title_of(document, schema.title)
    assert title.zh
    faults = faults_of(document, layer)
    assert all(what and (where == "" or where[0] == "/") for what, where in faults)
    if faults:
        return
    json.dumps(addressed(document, "http://here"))
    for seen in (schema.stored, schema.stored[:3], ()):
        shown = without_fields(document, [f.id for f in seen])
        for kept in shown["layers"]:
            assert named_fields(kept) <= {f.id for f in seen} | ALWAYS
        ElementTree.fromstring(draw_legend(title, legend_of(shown, title, seen)))
        for version in ("1.0.0", "1.1.0"):
            with suppress(Unsayable):
                ElementTree.fromstring(write_sld(shown, layer, title, version))


@st.composite
def slds(draw: st.DrawFn) -> tuple[str, bytes]:
    """An SLD of ours in which some elements are elsewhere, gone, or say something else."""
    layer = draw(st.sampled_from(sorted(CN)))
    schema = CN[layer]
    own = default_style(layer, schema, schema.stored)
    root = ElementTree.fromstring(write_sld(own, layer, schema.title, "1.1.0"))
    for _ in range(draw(st.integers(1, 4))):
        nodes = list(root.iter())
        one, other = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        what = draw(st.integers(0, 3))
        if what == 0:
            one.text = draw(WORDS | st.sampled_from(["1e9", "-4", "nan", "#fff"]))
        elif what == 1:
            one.append(copy.deepcopy(other) if len(list(other.iter())) < 50 else one.__copy__())
        elif what == 2:
            one.clear()
        else:
            one.tag = other.tag
    return layer, ElementTree.tostring(root)


@settings(max_examples=250, deadline=None)
@given(made=slds())
def test_an_sld_is_refused_or_read_as_a_style(made: tuple[str, bytes]) -> None:
    layer, content = made
    schema = CN[layer]
    with suppress(BadStyledLayer):
        found = read_sld(content, layer, schema, schema.stored)
        assert all(what for what, _ in faults_of(found.document, layer))
        assert all(found.warnings)
