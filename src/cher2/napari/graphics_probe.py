"""Opens Qt and OpenGL as napari does and prints what they are, a line of JSON a step; ``cher2 doctor`` runs it.

It may crash, without a screen or by a bad driver: so it is a program of its own (``python -m``), and nothing imports
it.
"""

from __future__ import annotations

import json

import qtpy
from qtpy.QtWidgets import QApplication


def _tell(**facts: str) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    """Tell the binding, then the platform, then the OpenGL that vispy gets."""
    binding_version = qtpy.PYSIDE_VERSION or qtpy.PYQT_VERSION or ""
    _tell(binding=qtpy.API_NAME, binding_version=binding_version, qt=qtpy.QT_VERSION or "")
    application = QApplication([])
    _tell(platform=application.platformName())
    from vispy.app import Canvas, use_app
    from vispy.gloo import gl

    use_app(qtpy.API_NAME.lower())
    canvas = Canvas(show=False)
    canvas.set_current()
    _tell(
        vendor=str(gl.glGetParameter(gl.GL_VENDOR)),
        renderer=str(gl.glGetParameter(gl.GL_RENDERER)),
        version=str(gl.glGetParameter(gl.GL_VERSION)),
    )
    canvas.close()


if __name__ == "__main__":
    main()
