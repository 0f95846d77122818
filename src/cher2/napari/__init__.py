"""The napari plugin: the only room that knows napari or Qt."""
