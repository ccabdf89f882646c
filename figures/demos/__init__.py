"""Lessons to play with in a browser: marimo notebooks, and the server that shows them."""
