"""The study folder: results of the machine as files, whole or absent."""
