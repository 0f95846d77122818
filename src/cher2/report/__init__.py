"""What a study is read as: derived tables, figures and one page."""
