"""Scripted participants: responses, samples of results, and the book of effects."""
