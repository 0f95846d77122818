"""From one frame to measured, identified and graded objects. Arrays and tables in, tables out."""
