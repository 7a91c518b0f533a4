"""What the tests of the store share: short ways to make frames, schemas and publishes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
