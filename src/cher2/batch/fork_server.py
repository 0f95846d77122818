"""What the workers' common parent loads before it forks them; nothing else imports this module.

What is loaded is kept from the search for garbage: the workers then share its memory, and the process ends at once.
"""

import gc

import distributed  # noqa: F401
import skimage.segmentation  # noqa: F401

import cher2.batch.tasks  # noqa: F401

gc.freeze()
