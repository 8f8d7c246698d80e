"""Measures of answers and rankings."""
