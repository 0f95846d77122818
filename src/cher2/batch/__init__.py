"""A folder of images becomes a study, on every core of a machine or on a cluster."""
