"""From results to something to read: one HTML page that opens offline, and tables for the terminal."""

from pharmakon.report.console import print_results, print_simulated
from pharmakon.report.page import write_report

__all__ = ["print_results", "print_simulated", "write_report"]
