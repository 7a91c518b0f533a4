"""The conformance classes of the standards that this platform is built to, each with its tests.

A class is declared by the door that makes it true (`services.doors.Door.conformance`), and only
where tests hold it: those that are named here, as files below ``tests`` and tests in them. A class
without tests is one that is known and not declared. docs/interop.md shows the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_OGC = "http://www.opengis.net/spec/"


@dataclass(frozen=True, slots=True)
class Standard:
    """A standard, or the draft of one, and its classes.

    Attributes
    ----------
    base : str
        What the URI of each class begins with.
    classes : mapping of str to tuple of str
        The end of the URI to the tests that hold the class; none where it is not declared.
    """

    title: str
    base: str
    classes: Mapping[str, tuple[str, ...]]


_LANDING = "services/test_landing.py::"
_ITEMS = "services/test_items.py::"
_HERE = "services/test_conformance.py::"
_SCHEMAS = "services/test_schemas.py::"
_QUERIES = "services/test_queries.py::"
_PREDICATES = "interop/test_cql2.py::test_predicate"
_EDITING = "services/test_editing"
_JSON_FG = "services/test_json_fg.py::"
_TILESETS = "services/test_tilesets.py::"
_DATASET = "services/test_dataset_tiles.py::"
_STYLES = "services/test_styles.py::"
_TRANSACTIONS = "services/test_transactions.py::"
STANDARDS = (
    Standard(
        "OGC API - Common - Part 1: Core",
        f"{_OGC}ogcapi-common-1/1.0/conf/",
        {
            "core": (f"{_LANDING}test_every_get_has_its_head",),
            "landing-page": (f"{_LANDING}test_the_landing_page_names_everything",),
            "json": (f"{_LANDING}test_accept_is_weighed",),
            "html": (f"{_LANDING}test_a_browser_gets_a_page",),
            "oas30": (f"{_LANDING}test_the_openapi_document_is_3_0",),
        },
    ),
    Standard(
        "OGC API - Common - Part 2: Geospatial Data",
        f"{_OGC}ogcapi-common-2/1.0/conf/",
        {
            "collections": (
                f"{_LANDING}test_collections",
                f"{_LANDING}test_the_extent_is_that_of_the_features",
            ),
        },
    ),
    Standard(
        "OGC API - Common - Part 3: Schemas (Features - Part 5)",
        f"{_OGC}ogcapi-common-3/1.0/conf/",
        {
            "schemas": (
                f"{_SCHEMAS}test_a_schema_is_a_json_schema_of_the_standards_kind",
                f"{_SCHEMAS}test_titles_units_and_patterns",
            ),
            "advanced-property-roles": (f"{_SCHEMAS}test_roles",),
            "references": (),
            "returnables-and-receivables": (
                f"{_SCHEMAS}test_features_are_as_their_schema_says",
                f"{_SCHEMAS}test_a_collection_links_to_its_schemas",
            ),
            "queryables": (
                f"{_SCHEMAS}test_each_queryable_is_a_parameter",
                f"{_SCHEMAS}test_a_collection_links_to_its_schemas",
            ),
            "sortables": (
                f"{_SCHEMAS}test_sortables_are_what_has_an_index",
                f"{_SCHEMAS}test_a_collection_links_to_its_schemas",
            ),
            "profile-parameter": (),
            "profile-references": (),
            "profile-codelists": (f"{_SCHEMAS}test_codes_stand_in_the_schema",),
            "profile-domains": (),
        },
    ),
    Standard(
        "OGC API - Features - Part 1: Core",
        f"{_OGC}ogcapi-features-1/1.0/conf/",
        {
            "core": (
                f"{_ITEMS}test_pages_visit_each_feature_once",
                f"{_ITEMS}test_a_box_selects_what_meets_it",
                f"{_ITEMS}test_intervals_are_closed_and_periods_half_open",
                f"{_ITEMS}test_bad_parameters_are_400",
                f"{_LANDING}test_self_is_the_document_itself",
            ),
            "geojson": (f"{_ITEMS}test_geometries_are_those_of_the_source",),
            "html": (f"{_LANDING}test_a_browser_gets_a_page",),
            "oas30": (f"{_LANDING}test_openapi_states_each_parameter_that_a_door_takes",),
            "gmlsf0": (),
            "gmlsf2": (),
        },
    ),
    Standard(
        "OGC API - Features - Part 1: Core 1.1 (draft)",
        f"{_OGC}ogcapi-features-1/1.1/conf/",
        {
            "core": (),
            "geojson": (),
            "html": (),
            "oas30": (),
            "oas31": (),
        },
    ),
    Standard(
        "OGC API - Features - Part 2: Coordinate Reference Systems by Reference",
        f"{_OGC}ogcapi-features-2/1.0/conf/",
        {
            "crs": (
                f"{_QUERIES}test_coordinates_come_in_each_system_in_its_authoritys_order",
                f"{_QUERIES}test_every_system_that_is_listed_is_answered",
                f"{_QUERIES}test_a_box_may_be_of_another_system",
            ),
        },
    ),
    Standard(
        "OGC API - Features - Part 3: Filtering",
        f"{_OGC}ogcapi-features-3/1.0/conf/",
        {
            "queryables": (f"{_SCHEMAS}test_a_collection_links_to_its_schemas",),
            "queryables-query-parameters": (f"{_SCHEMAS}test_each_queryable_is_a_parameter",),
            "filter": (_PREDICATES,),
            "features-filter": (_PREDICATES,),
        },
    ),
    Standard(
        "Common Query Language (CQL2)",
        f"{_OGC}cql2/1.0/conf/",
        dict.fromkeys(
            (
                "cql2-text",
                "cql2-json",
                "basic-cql2",
                "advanced-comparison-operators",
                "case-insensitive-comparison",
                "accent-insensitive-comparison",
                "basic-spatial-functions",
                "basic-spatial-functions-plus",
                "spatial-functions",
                "temporal-functions",
                "array-functions",
                "property-property",
                "functions",
                "arithmetic",
            ),
            (_PREDICATES,),
        ),
    ),
    Standard(
        "OGC API - Features - Part 4: Create, Replace, Update and Delete",
        f"{_OGC}ogcapi-features-4/1.0/conf/",
        {
            "create-replace-delete": (
                f"{_EDITING}.py::test_a_feature_is_created",
                f"{_EDITING}.py::test_a_feature_is_replaced_from_now_on",
                f"{_EDITING}.py::test_a_deleted_feature_is_gone_and_its_past_is_not",
                f"{_EDITING}.py::test_options_say_what_is_taken",
            ),
            "update": (f"{_EDITING}.py::test_a_merge_patch_changes_what_it_names",),
            # Table 1 of the standard writes these two with req in place of conf.
            "optimistic-locking-timestamps": (
                f"{_EDITING}_conditions.py::test_if_unmodified_since_is_to_the_second",
            ),
            "optimistic-locking-etags": (
                f"{_EDITING}_conditions.py::test_if_match_names_the_version_that_was_read",
                f"{_EDITING}_conditions.py::test_of_two_writers_with_one_tag_exactly_one_wins",
            ),
            "features": (
                f"{_EDITING}_bodies.py::test_coordinates_come_in_any_system_that_is_offered",
                f"{_EDITING}_bodies.py::test_bodies_that_state_no_feature",
            ),
        },
    ),
    # The same text as Common Part 3, which it became; QGIS (3.44 and later) knows it by this name.
    Standard(
        "OGC API - Features - Part 5: Schemas (draft of September 2025)",
        f"{_OGC}ogcapi-features-5/1.0/conf/",
        {
            "schemas": (
                f"{_SCHEMAS}test_a_schema_is_a_json_schema_of_the_standards_kind",
                f"{_SCHEMAS}test_titles_units_and_patterns",
            ),
            "returnables-and-receivables": (
                f"{_SCHEMAS}test_features_are_as_their_schema_says",
                f"{_SCHEMAS}test_a_collection_links_to_its_schemas",
            ),
        },
    ),
    Standard(
        "OGC API - Features - Part 6: Property Selection (draft)",
        f"{_OGC}ogcapi-features-6/1.0/conf/",
        {
            "properties": (f"{_QUERIES}test_chosen_properties_are_there_and_no_others",),
            "properties-features": (
                f"{_QUERIES}test_chosen_properties_are_there_and_no_others",
                f"{_QUERIES}test_properties_that_are_not_there_are_400",
            ),
        },
    ),
    Standard(
        "OGC API - Features - Part 8: Sorting (draft)",
        f"{_OGC}ogcapi-features-8/1.0/conf/",
        {
            "sortables": (f"{_SCHEMAS}test_sortables_are_what_has_an_index",),
            "sorting": (f"{_QUERIES}test_pages_come_in_order_forwards_and_back",),
            "features-sorting": (
                f"{_QUERIES}test_pages_come_in_order_forwards_and_back",
                f"{_QUERIES}test_orders_that_can_not_be_are_400",
            ),
        },
    ),
    Standard(
        "OGC API - Features - Part 11: Transactions (draft)",
        f"{_OGC}ogcapi-features-11/1.0/conf/",
        {
            "transactions": (f"{_TRANSACTIONS}test_several_layers_change_in_one_commit",),
            "async-transactions": (),
            "atomic-semantics": (f"{_TRANSACTIONS}test_all_or_nothing",),
            "atomic-transactions": (f"{_TRANSACTIONS}test_all_or_nothing",),
            "batch-semantics": (),
            "json-transactions": (),
            "features": (f"{_TRANSACTIONS}test_what_is_wrong_is_said_with_its_place",),
        },
    ),
    Standard(
        "OGC Features and Geometries JSON (JSON-FG)",
        f"{_OGC}json-fg-1/1.0/conf/",
        {
            "core": (
                f"{_JSON_FG}test_a_collection",
                f"{_JSON_FG}test_one_feature",
                f"{_JSON_FG}test_place_is_in_the_system_of_the_storage",
                f"{_JSON_FG}test_no_place_is_the_geometry_again",
            ),
            "types-schemas": (
                f"{_JSON_FG}test_a_collection",
                f"{_JSON_FG}test_one_feature",
                f"{_JSON_FG}test_a_dimension_is_said_of_like_geometries",
            ),
            # These two want profile=jsonfg and profile=rfc7946, wherever there is GeoJSON.
            "profiles": (),
            "api": (),
            "circular-arcs": (),
            "measures": (),
            "polyhedra": (),
            "prisms": (),
        },
    ),
    Standard(
        "OGC API - Tiles - Part 1: Core",
        f"{_OGC}ogcapi-tiles-1/1.0/conf/",
        {
            "core": ("tiles/test_vector.py::test_a_tile_has_the_features_that_meet_it",),
            "mvt": ("tiles/test_vector.py::test_what_a_feature_carries",),
            "png": ("services/test_map_tiles.py::test_a_tile_is_a_png_that_others_read",),
            "tileset": (f"{_HERE}test_a_tileset_leads_to_its_tiles",),
            "tilesets-list": (f"{_HERE}test_tilesets_are_listed",),
            "geodata-tilesets": (f"{_HERE}test_tilesets_are_listed",),
            "dataset-tilesets": (f"{_TILESETS}test_tilesets_of_the_dataset",),
            "collections-selection": (
                f"{_DATASET}test_a_tile_has_a_layer_for_each_collection",
                f"{_DATASET}test_what_is_refused",
            ),
            "datetime": (f"{_DATASET}test_layers_are_seen_at_one_instant",),
            "oas30": (f"{_TILESETS}test_operations_are_named_as_the_standard_has_it",),
        },
    ),
    Standard(
        "OGC API - Styles - Part 1: Core (draft 20-009)",
        f"{_OGC}ogcapi-styles-1/0.0/conf/",
        {
            "core": (
                f"{_STYLES}test_every_layer_has_a_style_of_its_own",
                f"{_STYLES}test_metadata_say_where_the_sheets_are",
            ),
            "html": (f"{_STYLES}test_a_page_of_a_style",),
            "mapbox-style": (f"{_STYLES}test_a_style_comes_as_it_is_asked_for",),
            "sld-10": (
                f"{_STYLES}test_each_default_style_is_an_sld_too",
                f"{_STYLES}test_an_sld_is_taken_and_says_what_is_left_out",
            ),
            "sld-11": (
                f"{_STYLES}test_each_default_style_is_an_sld_too",
                "tiles/styling/test_sld.py::test_both_versions_are_read_alike",
            ),
            "manage-styles": (
                f"{_STYLES}test_a_style_is_written_read_and_taken_away",
                f"{_STYLES}test_a_style_is_created_under_a_name_of_its_own",
            ),
            "style-validation": (f"{_STYLES}test_validate_only_writes_nothing",),
            "resources": (),
            "manage-resources": (),
            "style-info": (),
        },
    ),
    Standard(
        "Two Dimensional Tile Matrix Set",
        f"{_OGC}tms/2.0/conf/",
        {
            "tilematrixset": (f"{_HERE}test_the_matrix_set_is_the_known_one",),
            "json-tilematrixset": (f"{_HERE}test_the_matrix_set_is_the_known_one",),
            "tilematrixsetlimits": (f"{_TILESETS}test_limits_hold_every_tile_that_has_anything",),
            "json-tilematrixsetlimits": (
                f"{_TILESETS}test_limits_hold_every_tile_that_has_anything",
            ),
            "tilesetmetadata": (f"{_TILESETS}test_what_a_tileset_says",),
            "json-tilesetmetadata": (f"{_TILESETS}test_what_a_tileset_says",),
        },
    ),
)


def held_by(uri: str) -> tuple[str, ...]:
    """Return the tests that hold a class; none where it is unknown or not to be declared.

    >>> held_by("http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/html")
    ('services/test_landing.py::test_a_browser_gets_a_page',)
    """
    for standard in STANDARDS:
        if uri.startswith(standard.base):
            return standard.classes.get(uri.removeprefix(standard.base), ())
    return ()
