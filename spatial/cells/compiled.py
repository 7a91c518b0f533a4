"""Functions compiled by numba, kept on disk, and remade when any kernel's source changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import caching

from spatial.machine_code import sources_fingerprint

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of numbers and arrays when it is first called.

    The machine code is kept beside the source, or where numba keeps what is the user's. It runs
    without the interpreter's lock. Multiplications and additions are never fused, which the exact
    predicates rest on.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=False)(function)
    try:
        dispatcher._cache = _Kept(function)
    except RuntimeError:
        # no folder can be written: compiled anew by each process
        return cast(F, dispatcher)
    return cast(F, dispatcher)


def is_kept() -> bool:
    """Return whether machine code can be kept on disk."""
    try:
        _Kept(is_kept)
    except RuntimeError:
        return False
    return True


class _OfTheWholeRoom:
    """A place for machine code, valid while no kernel's source has changed.

    numba looks at the file of a function only, not at those of what it calls, and at times and
    sizes, which a reproducible wheel has all alike: after an upgrade it would run old code.
    """

    def get_source_stamp(self) -> str:
        return sources_fingerprint()


class _BesideTheSource(_OfTheWholeRoom, caching.InTreeCacheLocator):  # type: ignore[misc]
    pass


class _TheUsersOwn(_OfTheWholeRoom, caching.UserWideCacheLocator):  # type: ignore[misc]
    pass


class _Code(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_BesideTheSource, _TheUsersOwn)


class _Kept(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Code
