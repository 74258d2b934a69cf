"""Receipts: what a gate session saw, written so that anybody can derive its verdict again."""
