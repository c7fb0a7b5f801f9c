"""What is shown: tables, sentences, drawers, the page and the files beside it."""
