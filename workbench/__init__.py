"""A research workbench that compares code language models side by side."""
