"""`python -m ecrsim`."""

from __future__ import annotations

import sys

from ecrsim.cli import main

sys.exit(main())
