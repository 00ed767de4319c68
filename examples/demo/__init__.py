"""Plays scenarios in both styles, prints the timelines of the sagas, and checks their end states."""
