"""The HTTP interface: what the contract says, as routes over `shifter.service`."""
