"""The demo of all example sagas, and the comparison of both styles over the same services."""
