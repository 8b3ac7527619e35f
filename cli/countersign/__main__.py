"""``python -m countersign``."""

import sys

from countersign.commands import main

sys.exit(main())
