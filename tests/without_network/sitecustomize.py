"""Found first by every Python that is started with this folder in PYTHONPATH, so also by workers and probes."""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120

import network_guard

network_guard.install(network_guard.refuse)
