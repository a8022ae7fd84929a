"""Batches of balanced languages and similar lengths."""
