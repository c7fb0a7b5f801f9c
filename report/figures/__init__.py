"""Figures: seaborn and matplotlib on frames, as SVG that follows the page's colours."""
