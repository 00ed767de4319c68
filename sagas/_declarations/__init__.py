"""Declarations of a saga's author: operations, actions, steps and their options."""
