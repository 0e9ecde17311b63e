"""``python -m gemsnn``."""

import sys

from gemsnn.commands.cli import main

sys.exit(main())
