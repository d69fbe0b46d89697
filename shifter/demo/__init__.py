"""The demo: a bundled fleet, work that arrives, a marked fast clock, and an executor that obeys the plan."""
