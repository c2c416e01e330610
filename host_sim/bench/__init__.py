"""Benches: what the firmware costs on simulated hardware, beside limits and drivers of others."""
