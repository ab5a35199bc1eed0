"""Capacity: turns, rooms and a child process that keep one caller from holding up another."""
