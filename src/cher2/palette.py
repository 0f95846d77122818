"""The colours of cher2, one table for napari, report and plots; pure data, as hex strings.

Whatever is told apart by colour stays apart for readers with a colour vision deficiency: within each table but the
conventional :data:`CHANNEL_COLOURS`, any two colours differ by at least 15 in CIEDE2000 after the simulation of
full protanopia, deuteranopia and tritanopia of Machado, Oliveira and Fernandes (IEEE Transactions on Visualization
and Computer Graphics 15, 2009, 1291-1298). Grades and groups have a contrast of at least 2 on white and on black.
"""

from __future__ import annotations

CHANNEL_COLOURS = {"dapi": "#0000ff", "ck": "#00ff00", "cd45": "#ff0000", "her2": "#ffff00"}
"""Colour of each role as CellSearch shows it; green and yellow are one colour in protanopia."""

SAFE_CHANNEL_COLOURS = {"dapi": "#8c8c8c", "ck": "#00ffff", "cd45": "#ff00ff", "her2": "#ffff00"}
"""Colour of each role for any eye: the three additive secondary colours, and grey for the nucleus.

Grey, because blue and magenta, and blue and cyan, come close to each other in protanopia and tritanopia.
"""

GRADE_COLOURS = ("#999999", "#3d8bff", "#f5a300", "#d81b60")
"""Colour of the grades 0, 1+, 2+ and 3+: grey, then from cold to hot."""

KIND_COLOURS = {"leukocyte": "#9fb4a6", "other": "#8a7f70"}
"""Colour of what is no CTC; drawn faint, beside the grades."""

GROUP_COLOURS = {"high": "#d55e00", "low": "#0072b2", "excluded": "#999999", "undefined": "#c2b280"}
"""Colour of the groups of patients."""
