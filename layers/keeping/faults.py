"""What a check of the store finds wrong: where, what, and the remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Of one check of one layer so many faults are told one by one; of the others, how many there are.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing in the store that can't be so.

    Attributes
    ----------
    layer : str
        Empty where it is a matter of the whole store.
    check : str
        The short, lasting name of the check that found it.
    where : str
        Revision, table or feature.
    text : str
        What is wrong, and the remedy.

    Examples
    --------
    >>> str(Fault("wells", "hash", "live.wells W-1 r3", "differs; restore a backup"))
    'wells: hash: live.wells W-1 r3: differs; restore a backup'
    """

    layer: str
    check: str
    where: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.layer, self.check, self.where, self.text) if part)


def abridged(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield the first faults of each check of each layer, then how many more there are.

    Examples
    --------
    >>> found = list(abridged(Fault("t", "hash", str(n), "differs") for n in range(50)))
    >>> len(found), found[-1].text
    (21, '30 more like these')
    """
    seen: Counter[tuple[str, str]] = Counter()
    for fault in faults:
        seen[fault.layer, fault.check] += 1
        if seen[fault.layer, fault.check] <= NAMED:
            yield fault
    for (layer, check), count in seen.items():
        if count > NAMED:
            yield Fault(layer, check, "", f"{count - NAMED} more like these")
