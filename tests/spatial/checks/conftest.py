"""Lets the tests of checks import the synthetic city from benchmarks/."""

import sys
from pathlib import Path

# Last: modules of other tests go by names that benchmarks have, too.
sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))
