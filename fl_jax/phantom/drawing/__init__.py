"""Draws a patient in Hounsfield units on a grid of points."""
