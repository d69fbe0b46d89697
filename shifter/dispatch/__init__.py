"""Acting on leases: dispatchers hand what each workload may do now to whatever runs it."""
