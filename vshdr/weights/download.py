"""Downloading weights into the user's cache. A download can be resumed, is checked, and is whole or not there."""

