"""Failure drills: something is done to a running daemon, and what it promised for that case is watched.

A drill speaks to the daemon through its public interface alone, and takes back what it did, however it ends. What it
tells of load and hardware is marked `drill`: it counts as if it had been measured, and no forecast learns from it.
"""
