"""Runners: what sets executions to work, behind one port."""
