"""Whose a descriptor is: an application may close all that it finds, as a daemon does, and get the same numbers."""

from __future__ import annotations

import os


def identity(descriptor: int) -> object:
    """What stands behind it; None when nothing does. Where that has changed, it is not ours to use or to close."""
    try:
        facts = os.fstat(descriptor)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
