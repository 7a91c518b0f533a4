"""Arrays in one file, mapped into memory where they are used: many processes share one copy."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial.errors import UnreadableIndex

_MARK: Final = b"SHIKONG CELLS 1\n"
_ALIGNED: Final = 64


def write_arrays(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Any]
) -> None:
    """Write arrays, and what JSON can hold, into a file, which is there whole or not at all.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_arrays(folder + "/a", {"n": np.arange(3)}, {"name": "三"})
    ...     arrays, told = map_arrays(folder + "/a")
    ...     arrays["n"].tolist(), told
    ([0, 1, 2], {'name': '三'})
    """
    path = Path(path)
    places: dict[str, dict[str, Any]] = {}
    offset = 0
    for name, array in arrays.items():
        offset = -(-offset // _ALIGNED) * _ALIGNED
        kind = np.lib.format.dtype_to_descr(array.dtype)
        places[name] = {"dtype": kind, "shape": array.shape, "offset": offset}
        offset += array.nbytes
    head = json.dumps({"arrays": places, "told": told}, ensure_ascii=False).encode()
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MARK + len(head).to_bytes(8, "little") + head)
            base = -(-file.tell() // _ALIGNED) * _ALIGNED
            for name, array in arrays.items():
                file.seek(base + places[name]["offset"])
                file.write(np.ascontiguousarray(array).tobytes())
            file.truncate(base + offset)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def map_arrays(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Map the arrays of a file into memory, read-only, and return what was told with them.

    Raises
    ------
    UnreadableIndex
        If the file is not one of these, or not whole.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(len(_MARK)) != _MARK:
                raise UnreadableIndex(f"{path} is no index of this version; build it anew")
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            base = -(-file.tell() // _ALIGNED) * _ALIGNED
        whole = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        arrays = {name: _one(whole, base, said) for name, said in head["arrays"].items()}
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, UnreadableIndex):
            raise
        raise UnreadableIndex(f"{path} can't be read ({error}); build it anew") from None
    return arrays, head["told"]


def _one(whole: NDArray[np.uint8], base: int, said: Mapping[str, Any]) -> NDArray[Any]:
    kind = said["dtype"]
    dtype = np.dtype(_described(kind) if isinstance(kind, list | dict) else kind)
    size = dtype.itemsize * int(np.prod(said["shape"], dtype=np.int64))
    start = base + int(said["offset"])
    found: NDArray[Any] = whole[start : start + size].view(dtype).reshape(said["shape"])
    return found


def _described(kind: Any) -> Any:
    """Return a structured dtype's description as numpy wants it: JSON has no tuples."""
    return np.lib.format.descr_to_dtype([tuple(field) for field in kind])
