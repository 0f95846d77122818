"""Files of microscope frames, read into :class:`~cher2.images.image.Image`."""
