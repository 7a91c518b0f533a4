"""CQL2, the filter language of OGC (21-065r2): read from text or JSON, made conditions in SQL.

::

    text.py         the grammar of CQL2 text, to the tree that CQL2 JSON is
    drafts.py       the draft's CQL text, which GDAL still writes
    filter.py       a filter that was read: checked, bounded, in one way of writing
    expressions.py  what stands in a filter, with its type and its SQL
    comparisons.py, characters.py, arithmetic.py, times.py, shapes.py, arrays.py, functions.py
                    the operators, a family each
    conditions.py   the walk from the tree to the condition
"""

from layers.reading.cql2.conditions import condition
from layers.reading.cql2.filter import DRAFT, JSON, LANGUAGES, LONGEST, TEXT, Filter, read_filter
from layers.reading.cql2.functions import FUNCTIONS, Function

__all__ = [
    "DRAFT",
    "FUNCTIONS",
    "JSON",
    "LANGUAGES",
    "LONGEST",
    "TEXT",
    "Filter",
    "Function",
    "condition",
    "read_filter",
]
