"""Stages on this machine: worker processes, and the schedule that feeds them."""
