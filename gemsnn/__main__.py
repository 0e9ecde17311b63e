"""``python -m gemsnn``."""

import sys

from gemsnn.cli import main

sys.exit(main())
