"""``python -m flowrl_dsl`` is the command ``flowrl-dsl``."""

import sys

from flowrl_dsl.cli import main

sys.exit(main())
