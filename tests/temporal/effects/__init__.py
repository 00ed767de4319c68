"""Tests of the effects of a saga: effect classes, foreign work, and remaining effects."""
