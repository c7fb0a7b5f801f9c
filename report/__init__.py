"""WHAT IT MEANS (torch-free): records become tables, figures, verdicts and one page."""
